//! Which requests are guarded and which pass; what an upstream's answer says about the effect.

mod graphql;
mod outcome;
mod table;

use std::borrow::Cow;

use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use store::model::EffectClass;

use self::table::{READS, REFUSALS, Read, Refusal};
use crate::forms::{Kind, kind, pairs, plain};
use crate::headers::upgrade_of;
use crate::pattern::HostPattern;
use crate::request::Target;

/// Methods that ask and change nothing.
const READ_METHODS: &[&str] = &["GET", "HEAD", "OPTIONS", "QUERY", "PROPFIND", "REPORT", "SEARCH"];

/// What decides about requests; it holds no state and reads no clock.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pass: Vec<HostPattern>,
    reads: &'static [Read],
    refusals: &'static [Refusal],
}

/// What is to be done with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is keyed, claimed and recorded.
    Guard {
        class: EffectClass,
        /// What decided, for the audit.
        rule: Cow<'static, str>,
    },
    /// It streams through.
    Pass { kind: Passed, rule: Cow<'static, str> },
    /// The body decides: spool it, then ask [`Policy::decide_body`].
    NeedsBody,
}

/// Why a request passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It changes nothing. No word of it is stored.
    Read,
    /// It may change something and is not guarded; the caller is told so.
    Bypassed,
}

impl Policy {
    /// `reads_table` switches the shipped table of POSTs that only read.
    pub(crate) fn new(pass: Vec<HostPattern>, reads_table: bool) -> Self {
        Self { pass, reads: if reads_table { READS } else { &[] }, refusals: REFUSALS }
    }

    /// Decides by the head of a request alone, or says that its body is needed.
    pub(crate) fn decide(&self, method: &Method, target: &Target, headers: &HeaderMap) -> Decision {
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
            return Decision::Pass { kind: Passed::Bypassed, rule: "grpc".into() };
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
        guard(method)
    }

    /// Decides with the body, as it came; `None` where it is too large to be looked at: then it is
    /// guarded. Never [`Decision::NeedsBody`].
    pub(crate) fn decide_body(
        &self,
        method: &Method,
        target: &Target,
        headers: &HeaderMap,
        body: Option<&[u8]>,
    ) -> Decision {
        let decision = self.decide(method, target, headers);
        if decision != Decision::NeedsBody {
            return decision;
        }
        let Some(body) = body.and_then(|body| plain(headers, body)) else {
            return guard(method);
        };
        self.reads
            .iter()
            .find(|row| row.may_match_body(target, headers) && row.by_body(headers, &body))
            .map_or_else(
                || guard(method),
                |row| Decision::Pass { kind: Passed::Read, rule: row.name.into() },
            )
    }
}

/// Is `host` one of the table's providers of language models.
pub(crate) fn is_llm_provider(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    table::llm_providers().any(|row| row.is_of(host))
}

fn guard(method: &Method) -> Decision {
    let class = match method.as_str() {
        "PUT" | "DELETE" => EffectClass::Idempotent,
        _ => EffectClass::Once,
    };
    Decision::Guard { class, rule: by_method(method) }
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
