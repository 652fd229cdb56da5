//! What is to be done with a request, and how a guarded call is treated.

use std::borrow::Cow;
use std::sync::Arc;

use store_core::model::EffectClass;

use super::keyed::{KeyPlace, UpstreamKey};
use super::rule::Rule;
use crate::http::forms::digest::Pick;
use crate::http::meaning::{counts, is_of_mcp};

/// What is to be done with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// It is keyed, claimed and recorded.
    Guard(Guarded),
    /// It streams through.
    Pass { kind: Passed, rule: Cow<'static, str> },
    /// The body decides: spool it, then ask [`Policy::decide_body`].
    NeedsBody,
}

/// How a guarded call is treated.
#[derive(Debug, Clone, PartialEq)]
pub struct Guarded {
    pub class: EffectClass,
    /// What decided, for the audit.
    pub why: Cow<'static, str>,
    /// The rule of the configuration that is about it.
    pub rule: Option<Arc<Rule>>,
    /// Only of the class `keyed`; without a lifetime also of a call of the class `once` that has a
    /// key at this place, which tells no two calls apart.
    pub upstream: Option<UpstreamKey>,
    /// It is a tool call of MCP.
    pub is_tool_call: bool,
}

/// Why gRPC passes: its calls may be silent on either side for as long as they like.
pub const GRPC: &str = "grpc";

/// Why a request passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// It changes nothing. No word of it is stored.
    Read,
    /// It may change something and is not guarded; the caller is told so.
    Bypassed,
}

impl Guarded {
    /// By its class alone.
    #[cfg(test)]
    pub fn by_class(class: EffectClass, why: impl Into<Cow<'static, str>>) -> Self {
        Self { class, why: why.into(), rule: None, upstream: None, is_tool_call: false }
    }

    /// Where the client's own key may stand besides `Idempotency-Key`; the first that is there wins.
    pub fn key_places(&self) -> impl Iterator<Item = &KeyPlace> {
        let rule = self.rule.as_ref().and_then(|rule| rule.given.key.as_ref());
        rule.into_iter().chain(self.upstream.as_ref().map(|upstream| &upstream.place))
    }

    /// Does a header field hold a key, so that it tells no two calls apart. `name` is in lower case.
    pub fn is_key(&self, name: &str) -> bool {
        self.key_places()
            .any(|place| matches!(place, KeyPlace::Header(header) if header.as_str() == name))
    }

    /// Does a header field tell two calls apart. `name` is in lower case.
    pub fn counts(&self, name: &str) -> bool {
        let usually = || self.counts_without_rule(name);
        self.rule.as_ref().map_or_else(usually, |rule| {
            !self.is_key(name) && !rule.ignores(name) && (rule.makes_count(name) || usually())
        })
    }

    /// The same without regard to rules, but for where they say that a key is.
    pub fn counts_without_rule(&self, name: &str) -> bool {
        !self.is_key(name) && self.counts_literally(name)
    }

    /// The same without regard to any rule.
    pub fn counts_literally(&self, name: &str) -> bool {
        counts(name) && !(self.is_tool_call && is_of_mcp(name))
    }

    /// Which parts of a body count.
    pub fn pick(&self) -> Pick<'_> {
        let mut pick = self.pick_keyless();
        if let Some(rule) = &self.rule {
            pick.without.extend(rule.given.ignore.iter().map(|field| &field.0));
            pick.select.extend(rule.given.select.iter().map(|field| &field.0));
        }
        pick
    }

    /// All parts of a body but for keys.
    pub fn pick_keyless(&self) -> Pick<'_> {
        let mut pick = Pick::default();
        for place in self.key_places() {
            if let KeyPlace::Member(pointer) = place {
                pick.without.push(pointer);
            }
        }
        pick
    }
}
