//! Which requests are guarded and which pass.

use std::borrow::Cow;
use std::sync::Arc;

use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap};
use store_core::model::EffectClass;

use super::decision::{Decision, GRPC, Guarded, Passed};
use super::keyed::{HONOURS, Honours, KeyPlace, LIFETIME, UpstreamKey};
use super::rule::{Effect, Rule};
use super::table::{self, READS, Read};
use crate::http::forms::kind::plain;
use crate::http::hop_by_hop::upgrade_of;
use crate::http::host_pattern::HostPattern;
use crate::http::own_fields::IDEMPOTENCY_KEY;
use crate::http::target::Target;
use crate::mcp::head::ends_session;
use crate::settings::Settings;

/// Methods that ask and change nothing.
const READ_METHODS: &[&str] = &["GET", "HEAD", "OPTIONS", "QUERY", "PROPFIND", "REPORT", "SEARCH"];

/// What decides about requests; it holds no state and reads no clock.
#[derive(Debug, Clone)]
pub struct Policy {
    pass: Vec<HostPattern>,
    rules: Vec<Arc<Rule>>,
    reads: &'static [Read],
    honours: &'static [Honours],
}

impl Policy {
    /// `reads_table` switches the shipped table of POSTs that only read, `keyed_table` that of
    /// upstreams that honour keys.
    pub fn new(settings: &Settings) -> Self {
        let rules = settings.rules.iter().enumerate().map(|(index, rule)| {
            let name = rule.name().map_or_else(|| (index + 1).to_string(), str::to_owned);
            Arc::new(Rule { label: format!("rule {name}"), ..rule.clone() })
        });
        Self {
            pass: settings.pass.clone(),
            rules: rules.collect(),
            reads: if settings.reads_table { READS } else { &[] },
            honours: if settings.keyed_table { HONOURS } else { &[] },
        }
    }

    /// The rule that is about a call. `tool` is the MCP tool that it calls, where it calls one.
    pub fn rule(&self, method: &Method, target: &Target, tool: Option<&str>) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| rule.matches(method, target, tool))
    }

    /// Decides by the head of a request alone, or says that its body is needed. `tool`: see
    /// [`Self::rule`].
    pub fn decide(
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
        if ends_session(method, headers) {
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
    pub fn decide_tool(
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
    pub fn decide_body(
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
pub fn is_llm_provider(host: &str) -> bool {
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

#[cfg(test)]
mod tests;
