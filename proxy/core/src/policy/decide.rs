//! Which requests are guarded and which pass; what an upstream's answer says about the effect.

mod glob;
mod graphql;
mod keyed;
mod outcome;
mod rule;
mod table;

use std::borrow::Cow;
use std::sync::Arc;

use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use store::model::EffectClass;

use self::keyed::{HONOURS, Honours, LIFETIME};
pub(crate) use self::keyed::{KeyPlace, UpstreamKey};
pub(crate) use self::outcome::outcome;
use self::rule::Effect;
pub use self::rule::Rule;
pub(crate) use self::rule::{OnUnknown, Principal, Repeat};
use self::table::{READS, Read};
use crate::Settings;
use crate::forms::{Kind, Pick, kind, pairs, plain};
use crate::headers::{IDEMPOTENCY_KEY, counts, is_of_mcp, upgrade_of};
use crate::mcp;
use crate::pattern::HostPattern;
use crate::request::Target;
use crate::route::Route;

/// Methods that ask and change nothing.
const READ_METHODS: &[&str] = &["GET", "HEAD", "OPTIONS", "QUERY", "PROPFIND", "REPORT", "SEARCH"];

/// What decides about requests; it holds no state and reads no clock.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pass: Vec<HostPattern>,
    rules: Vec<Arc<Rule>>,
    routes: Vec<Route>,
    reads: &'static [Read],
    honours: &'static [Honours],
}

/// What is to be done with a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    /// It is keyed, claimed and recorded.
    Guard(Guarded),
    /// It streams through.
    Pass { kind: Passed, rule: Cow<'static, str> },
    /// The body decides: spool it, then ask [`Policy::decide_body`].
    NeedsBody,
}

/// How a guarded call is treated.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Guarded {
    pub(crate) class: EffectClass,
    /// What decided, for the audit.
    pub(crate) why: Cow<'static, str>,
    /// The rule of the configuration that is about it.
    pub(crate) rule: Option<Arc<Rule>>,
    /// Only of the class `keyed`; without a lifetime also of a call of the class `once` that has a
    /// key at this place, which tells no two calls apart.
    pub(crate) upstream: Option<UpstreamKey>,
    /// It is a tool call of MCP.
    pub(crate) is_tool_call: bool,
}

/// Why gRPC passes: its calls may be silent on either side for as long as they like.
pub(crate) const GRPC: &str = "grpc";

/// Why a request passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It changes nothing. No word of it is stored.
    Read,
    /// It may change something and is not guarded; the caller is told so.
    Bypassed,
}

impl Guarded {
    /// By its class alone.
    #[cfg(test)]
    pub(crate) fn by_class(class: EffectClass, why: impl Into<Cow<'static, str>>) -> Self {
        Self { class, why: why.into(), rule: None, upstream: None, is_tool_call: false }
    }

    /// Where the client's own key may stand besides `Idempotency-Key`; the first that is there wins.
    pub(crate) fn key_places(&self) -> impl Iterator<Item = &KeyPlace> {
        let rule = self.rule.as_ref().and_then(|rule| rule.given.key.as_ref());
        rule.into_iter().chain(self.upstream.as_ref().map(|upstream| &upstream.place))
    }

    /// Does a header field hold a key, so that it tells no two calls apart. `name` is in lower case.
    pub(crate) fn is_key(&self, name: &str) -> bool {
        self.key_places()
            .any(|place| matches!(place, KeyPlace::Header(header) if header.as_str() == name))
    }

    /// Does a header field tell two calls apart. `name` is in lower case.
    pub(crate) fn counts(&self, name: &str) -> bool {
        let usually = || self.counts_without_rule(name);
        self.rule.as_ref().map_or_else(usually, |rule| {
            !self.is_key(name) && !rule.ignores(name) && (rule.makes_count(name) || usually())
        })
    }

    /// The same without regard to rules, but for where they say that a key is.
    pub(crate) fn counts_without_rule(&self, name: &str) -> bool {
        !self.is_key(name) && self.counts_literally(name)
    }

    /// The same without regard to any rule.
    pub(crate) fn counts_literally(&self, name: &str) -> bool {
        counts(name) && !(self.is_tool_call && is_of_mcp(name))
    }

    /// Which parts of a body count.
    pub(crate) fn pick(&self) -> Pick<'_> {
        let mut pick = self.pick_keyless();
        if let Some(rule) = &self.rule {
            pick.without.extend(rule.given.ignore.iter().map(|field| &field.0));
            pick.select.extend(rule.given.select.iter().map(|field| &field.0));
        }
        pick
    }

    /// All parts of a body but for keys.
    pub(crate) fn pick_keyless(&self) -> Pick<'_> {
        let mut pick = Pick::default();
        for place in self.key_places() {
            if let KeyPlace::Member(pointer) = place {
                pick.without.push(pointer);
            }
        }
        pick
    }
}

impl Policy {
    /// `reads_table` switches the shipped table of POSTs that only read, `keyed_table` that of
    /// upstreams that honour keys.
    pub(crate) fn new(settings: &Settings) -> Self {
        let rules = settings.rules.iter().enumerate().map(|(index, rule)| {
            let name = rule.name().map_or_else(|| (index + 1).to_string(), str::to_owned);
            Arc::new(Rule { label: format!("rule {name}"), ..rule.clone() })
        });
        Self {
            pass: settings.pass.clone(),
            rules: rules.collect(),
            routes: settings.routes.clone(),
            reads: if settings.reads_table { READS } else { &[] },
            honours: if settings.keyed_table { HONOURS } else { &[] },
        }
    }

    pub(crate) fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The rule that is about a call. `tool` is the MCP tool that it calls, where it calls one.
    pub(crate) fn rule(
        &self,
        method: &Method,
        target: &Target,
        tool: Option<&str>,
    ) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| rule.matches(method, target, tool))
    }

    /// Decides by the head of a request alone, or says that its body is needed. `tool`: see
    /// [`Self::rule`].
    pub(crate) fn decide(
        &self,
        method: &Method,
        target: &Target,
        headers: &HeaderMap,
        tool: Option<&str>,
    ) -> Decision {
        if let Some(rule) = self.pass.iter().find(|rule| rule.matches(&target.authority)) {
            return Decision::Pass {
                kind: Passed::Bypassed,
                rule: format!("--pass {rule}").into(),
            };
        }
        if upgrade_of(method, headers).is_some() {
            return Decision::Pass { kind: Passed::Bypassed, rule: "upgrade".into() };
        }
        if is_grpc(headers) {
            return Decision::Pass { kind: Passed::Bypassed, rule: GRPC.into() };
        }
        let rule = self.rule(method, target, tool);
        rule.and_then(|rule| self.by_rule(method, target, rule))
            .unwrap_or_else(|| self.by_default(method, target, headers, rule))
    }

    /// `None` where the rule leaves open what the call does. A rule that does not name a method that
    /// only asks says nothing of what it does.
    fn by_rule(&self, method: &Method, target: &Target, rule: &Arc<Rule>) -> Option<Decision> {
        if rule.given.stream_request {
            let rule = format!("stream_request {}", rule.label).into();
            return Some(Decision::Pass { kind: Passed::Bypassed, rule });
        }
        let asks = READ_METHODS.contains(&method.as_str()) && !rule.names_method(method);
        let class = match rule.given.effect? {
            Effect::Read => {
                let rule = rule.label.clone().into();
                return Some(Decision::Pass { kind: Passed::Read, rule });
            }
            _ if asks => return None,
            Effect::Idempotent => EffectClass::Idempotent,
            Effect::Keyed => EffectClass::Keyed,
            Effect::Once => EffectClass::Once,
        };
        let upstream =
            (class == EffectClass::Keyed).then(|| self.upstream_key(method, target, rule));
        let why = rule.label.clone().into();
        Some(Decision::Guard(Guarded {
            class,
            why,
            rule: Some(Arc::clone(rule)),
            upstream,
            is_tool_call: false,
        }))
    }

    /// What the rule leaves out is as the table says, else as is usual.
    fn upstream_key(&self, method: &Method, target: &Target, rule: &Rule) -> UpstreamKey {
        let known = self.honours.iter().find(|row| row.is_about(method, target));
        let usual = known.and_then(Honours::key).unwrap_or_else(|| UpstreamKey {
            place: KeyPlace::Header(IDEMPOTENCY_KEY),
            lifetime: LIFETIME,
        });
        UpstreamKey {
            place: rule.given.upstream_key.clone().unwrap_or(usual.place),
            lifetime: rule.given.upstream_key_lifetime.map_or(usual.lifetime, |span| span.0),
        }
    }

    fn by_default(
        &self,
        method: &Method,
        target: &Target,
        headers: &HeaderMap,
        rule: Option<&Arc<Rule>>,
    ) -> Decision {
        if mcp::head::ends_session(method, headers) {
            return Decision::Pass { kind: Passed::Read, rule: "mcp".into() };
        }
        if READ_METHODS.contains(&method.as_str()) {
            return Decision::Pass { kind: Passed::Read, rule: by_method(method) };
        }
        if method == Method::POST {
            if let Some(row) = self.reads.iter().find(|row| row.by_head(target)) {
                return Decision::Pass { kind: Passed::Read, rule: row.name.into() };
            }
            if self.reads.iter().any(|row| row.may_match_body(target, headers)) {
                return Decision::NeedsBody;
            }
        }
        self.guard(method, target, rule)
    }

    /// Decides about a tool call of MCP. `usual` and `why` hold where no rule says what it does.
    pub(crate) fn decide_tool(
        &self,
        method: &Method,
        target: &Target,
        tool: &str,
        usual: EffectClass,
        why: &'static str,
    ) -> Decision {
        let rule = self.rule(method, target, Some(tool));
        match rule.and_then(|rule| self.by_rule(method, target, rule)) {
            Some(Decision::Guard(guarded)) => {
                Decision::Guard(Guarded { is_tool_call: true, ..guarded })
            }
            Some(decision) => decision,
            None => {
                let why = match rule {
                    Some(rule) => format!("{}, {why}", rule.label).into(),
                    None => why.into(),
                };
                let (rule, upstream) = (rule.cloned(), None);
                Decision::Guard(Guarded { class: usual, why, rule, upstream, is_tool_call: true })
            }
        }
    }

    /// Decides with the body, as it came; `None` where it is too large to be looked at: then it is
    /// guarded. Never [`Decision::NeedsBody`].
    pub(crate) fn decide_body(
        &self,
        method: &Method,
        target: &Target,
        headers: &HeaderMap,
        tool: Option<&str>,
        body: Option<&[u8]>,
    ) -> Decision {
        let decision = self.decide(method, target, headers, tool);
        if decision != Decision::NeedsBody {
            return decision;
        }
        let guard = || self.guard(method, target, self.rule(method, target, tool));
        let Some(body) = body.and_then(|body| plain(headers, body)) else {
            return guard();
        };
        self.reads
            .iter()
            .find(|row| row.may_match_body(target, headers) && row.by_body(headers, &body))
            .map_or_else(guard, |row| Decision::Pass { kind: Passed::Read, rule: row.name.into() })
    }

    /// By the table of upstreams that honour keys, else by method.
    fn guard(&self, method: &Method, target: &Target, rule: Option<&Arc<Rule>>) -> Decision {
        let known = self.honours.iter().find(|row| row.is_about(method, target));
        let keyed = known.and_then(|row| Some((row.name, row.key()?)));
        let (class, why, upstream) = match (method.as_str(), keyed) {
            (_, Some((name, key))) => {
                (EffectClass::Keyed, format!("keyed {name}").into(), Some(key))
            }
            ("PUT" | "DELETE", None) => (EffectClass::Idempotent, by_method(method), None),
            _ => (EffectClass::Once, by_method(method), None),
        };
        let why = match rule {
            Some(rule) => format!("{}, {why}", rule.label).into(),
            None => why,
        };
        Decision::Guard(Guarded { class, why, rule: rule.cloned(), upstream, is_tool_call: false })
    }
}

/// Is `host` one of the table's providers of language models.
pub(crate) fn is_llm_provider(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    table::llm_providers().any(|row| row.is_of(host))
}

fn by_method(method: &Method) -> Cow<'static, str> {
    match method.as_str() {
        "GET" => "method GET".into(),
        "POST" => "method POST".into(),
        other => format!("method {other}").into(),
    }
}

/// gRPC frames messages of its own inside both bodies: there is no answer to replay.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .get(..16)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
    })
}

impl Read {
    fn by_head(&self, target: &Target) -> bool {
        match &self.when {
            table::When::PathEnd(end) => target.path().ends_with(end),
            _ => self.is_of(&target.authority.host),
        }
    }

    /// Does it name this host.
    fn is_of(&self, host: &str) -> bool {
        match &self.when {
            table::When::Host(own) => host == *own,
            table::When::HostBetween(prefix, suffix) => {
                host.len() > prefix.len() + suffix.len()
                    && host.starts_with(prefix)
                    && host.ends_with(suffix)
            }
            _ => false,
        }
    }

    /// Could the body make this row match; costs nothing.
    fn may_match_body(&self, target: &Target, headers: &HeaderMap) -> bool {
        match &self.when {
            table::When::FormField(_) => matches!(kind(headers), Kind::Form),
            table::When::GraphQlQueries => {
                graphql::is_document(headers)
                    || graphql::is_endpoint(target) && matches!(kind(headers), Kind::Json)
            }
            table::When::PathEndAndMember(end, _) => {
                target.path().ends_with(end)
                    && (matches!(kind(headers), Kind::Json) || is_protobuf(headers))
            }
            _ => false,
        }
    }

    fn by_body(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        match &self.when {
            table::When::FormField(field) => pairs(body)
                .is_some_and(|pairs| pairs.iter().any(|(name, _)| name == field.as_bytes())),
            table::When::GraphQlQueries => graphql::only_queries(headers, body),
            table::When::PathEndAndMember(_, member) => {
                is_protobuf(headers) || outcome::has_member(body, member)
            }
            _ => false,
        }
    }
}

fn is_protobuf(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/x-protobuf")
    })
}

#[cfg(test)]
mod tests;
