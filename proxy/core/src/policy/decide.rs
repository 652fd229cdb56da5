//! Which requests are guarded and which pass.

use std::borrow::Cow;
use std::sync::Arc;

use http::Method;
use store_core::model::EffectClass;

use super::decision::{Guarded, HeadDecision, McpPass, PassReason, PolicyDecision};
use super::keyed::{KEYED_UPSTREAMS, KeyPlace, KeyedUpstream, LIFETIME, UpstreamKey};
use super::rpc::{RpcCalls, may_be_rpc};
use super::rule::{CallNames, Effect, Rule};
use super::sign_in::{may_sign_in, signs_in};
use super::table::{READ_ONLY_POSTS, ReadOnlyPost, llm_providers};
use crate::http::forms::kind::decoded;
use crate::http::head::{RequestHead, is_grpc};
use crate::http::hop_by_hop::upgrade_of;
use crate::http::host_pattern::HostPattern;
use crate::http::own_fields::IDEMPOTENCY_KEY;
use crate::mcp::head::ends_session;
use crate::settings::Settings;

/// Methods that change nothing.
const READ_METHODS: &[&str] = &["GET", "HEAD", "OPTIONS", "QUERY", "PROPFIND", "REPORT", "SEARCH"];

/// Decides about requests. Holds no state and reads no clock.
#[derive(Debug, Clone)]
pub struct Policy {
    pass: Vec<HostPattern>,
    pub(super) rules: Vec<Arc<Rule>>,
    read_only_posts: &'static [ReadOnlyPost],
    keyed_upstreams: &'static [KeyedUpstream],
    /// Sign-ins pass unguarded.
    sign_ins: bool,
}

impl Policy {
    /// The policy of these settings. Each rule gets the label that the audit calls it by.
    pub fn new(settings: &Settings) -> Self {
        let rules = settings.rules.iter().enumerate().map(|(index, rule)| {
            let name = rule.name().map_or_else(|| (index + 1).to_string(), str::to_owned);
            Arc::new(Rule { label: format!("rule {name}"), ..rule.clone() })
        });
        Self {
            pass: settings.pass.clone(),
            rules: rules.collect(),
            read_only_posts: if settings.reads_table { READ_ONLY_POSTS } else { &[] },
            keyed_upstreams: if settings.keyed_table { KEYED_UPSTREAMS } else { &[] },
            sign_ins: settings.reads_table,
        }
    }

    /// The first rule that matches a call.
    pub(crate) fn rule(&self, head: RequestHead<'_>, names: CallNames<'_>) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| rule.matches(head.method, head.target, names))
    }

    /// Whether a method of JSON-RPC in the body could make another rule the first that matches.
    fn rule_needs_body(&self, head: RequestHead<'_>) -> bool {
        may_be_rpc(head.headers)
            && self
                .rules
                .iter()
                .find(|rule| rule.may_match(head.method, head.target))
                .is_some_and(|rule| rule.names_rpc_methods())
    }

    /// Decides by the head of a request, or says that the body is needed.
    pub fn decide_by_head(&self, head: RequestHead<'_>) -> HeadDecision {
        let pass = |reason| HeadDecision::Decided(PolicyDecision::Pass(reason));
        let authority = &head.target.authority;
        if let Some(host) = self.pass.iter().find(|host| host.matches(authority)) {
            return pass(PassReason::PassedHost(host.clone()));
        }
        if upgrade_of(head.method, head.headers).is_some() {
            return pass(PassReason::Upgrade);
        }
        if is_grpc(head.headers) {
            return pass(PassReason::Grpc);
        }
        if self.rule_needs_body(head) {
            return HeadDecision::NeedsBody;
        }
        let rule = self.rule(head, CallNames::default());
        match rule.and_then(|rule| self.by_rule(head, rule)) {
            Some(decision) => HeadDecision::Decided(decision),
            None => self.by_default(head, rule),
        }
    }

    /// Decides with the body as it came. `None`: the body is too large to be read, so that a
    /// request whose body would decide is guarded.
    pub fn decide(&self, head: RequestHead<'_>, body: Option<&[u8]>) -> PolicyDecision {
        match self.decide_by_head(head) {
            HeadDecision::Decided(decision) => decision,
            HeadDecision::NeedsBody => self.decide_by_body(head, body),
        }
    }

    /// Decides about a request of which [`Self::decide_by_head`] said that its body is needed.
    pub fn decide_by_body(&self, head: RequestHead<'_>, body: Option<&[u8]>) -> PolicyDecision {
        let body = body.and_then(|body| decoded(head.headers, body));
        if body.is_none() && self.rule_needs_body(head) {
            // No rule behind that one may pass it: it could be for this very call.
            return PolicyDecision::Guard(self.guard(head, None));
        }
        let calls = body.as_ref().filter(|_| may_be_rpc(head.headers));
        let calls = calls.and_then(|body| RpcCalls::read(body));
        let rule = self.rule(head, CallNames { tool: None, rpc: calls.as_ref() });
        if let Some(decision) = rule.and_then(|rule| self.by_rule(head, rule)) {
            return decision;
        }
        if let HeadDecision::Decided(decision) = self.by_default(head, rule) {
            return decision;
        }
        // What cannot be read is guarded.
        let Some(body) = body.as_deref() else {
            return PolicyDecision::Guard(self.guard(head, rule));
        };
        let reads = self.read_only_posts.iter().find(|row| {
            row.may_match_body(head.target, head.headers) && row.matches_body(head.headers, body)
        });
        match reads {
            Some(row) => PolicyDecision::Pass(PassReason::ReadTable(row.name)),
            None if self.may_sign_in(head) && signs_in(head.headers, body) => {
                PolicyDecision::Pass(PassReason::SignIn)
            }
            None => PolicyDecision::Guard(self.guard(head, rule)),
        }
    }

    fn may_sign_in(&self, head: RequestHead<'_>) -> bool {
        self.sign_ins && head.method == Method::POST && may_sign_in(head.target, head.headers)
    }

    /// Decides about a tool call of MCP. `class` and `why` hold if no rule says what it does.
    pub(crate) fn decide_tool(
        &self,
        head: RequestHead<'_>,
        tool: &str,
        class: EffectClass,
        why: &'static str,
    ) -> PolicyDecision {
        let rule = self.rule(head, CallNames::of_tool(tool));
        match rule.and_then(|rule| self.by_rule(head, rule)) {
            Some(PolicyDecision::Guard(guarded)) => {
                PolicyDecision::Guard(Guarded { is_tool_call: true, ..guarded })
            }
            Some(decision) => decision,
            None => {
                let why = with_rule(rule, why.into());
                let (rule, upstream) = (rule.cloned(), None);
                PolicyDecision::Guard(Guarded { class, why, rule, upstream, is_tool_call: true })
            }
        }
    }

    /// What a rule decides. `None`: it does not say what the call does, or does not name the read
    /// method of the call.
    fn by_rule(&self, head: RequestHead<'_>, rule: &Arc<Rule>) -> Option<PolicyDecision> {
        if rule.stream_request {
            return Some(PolicyDecision::Pass(PassReason::StreamRequest(Arc::clone(rule))));
        }
        let only_reads =
            READ_METHODS.contains(&head.method.as_str()) && !rule.names_method(head.method);
        let class = match rule.effect? {
            Effect::Read => {
                return Some(PolicyDecision::Pass(PassReason::ReadRule(Arc::clone(rule))));
            }
            _ if only_reads => return None,
            Effect::Idempotent => EffectClass::Idempotent,
            Effect::Keyed => EffectClass::Keyed,
            Effect::Once => EffectClass::Once,
        };
        let upstream = (class == EffectClass::Keyed).then(|| self.upstream_key(head, rule));
        Some(PolicyDecision::Guard(Guarded {
            class,
            why: rule.label.clone().into(),
            rule: Some(Arc::clone(rule)),
            upstream,
            is_tool_call: false,
        }))
    }

    /// The rule's upstream key. What the rule leaves out is as the table says, or as is usual.
    fn upstream_key(&self, head: RequestHead<'_>, rule: &Rule) -> UpstreamKey {
        let row = self.keyed_upstreams.iter().find(|row| row.matches(head));
        let usual = row.and_then(KeyedUpstream::key).unwrap_or_else(|| UpstreamKey {
            place: KeyPlace::Header(IDEMPOTENCY_KEY),
            lifetime: LIFETIME,
        });
        UpstreamKey {
            place: rule.upstream_key.place.clone().unwrap_or(usual.place),
            lifetime: rule.upstream_key.lifetime.unwrap_or(usual.lifetime),
        }
    }

    fn by_default(&self, head: RequestHead<'_>, rule: Option<&Arc<Rule>>) -> HeadDecision {
        let pass = |reason| HeadDecision::Decided(PolicyDecision::Pass(reason));
        if ends_session(head.method, head.headers) {
            return pass(PassReason::Mcp(McpPass::Message));
        }
        if READ_METHODS.contains(&head.method.as_str()) {
            return pass(PassReason::ReadMethod(head.method.clone()));
        }
        if head.method == Method::POST {
            if let Some(row) =
                self.read_only_posts.iter().find(|row| row.matches_head(head.target, head.headers))
            {
                return pass(PassReason::ReadTable(row.name));
            }
            let may_match = |row: &ReadOnlyPost| row.may_match_body(head.target, head.headers);
            if self.read_only_posts.iter().any(may_match) || self.may_sign_in(head) {
                return HeadDecision::NeedsBody;
            }
        }
        HeadDecision::Decided(PolicyDecision::Guard(self.guard(head, rule)))
    }

    /// How a call is guarded: by the table of upstreams that honour keys, or by its method.
    fn guard(&self, head: RequestHead<'_>, rule: Option<&Arc<Rule>>) -> Guarded {
        let row = self.keyed_upstreams.iter().find(|row| row.matches(head));
        let keyed = row.and_then(|row| Some((row.name, row.key()?)));
        let (class, why, upstream) = match (head.method.as_str(), keyed) {
            (_, Some((name, key))) => {
                (EffectClass::Keyed, format!("keyed {name}").into(), Some(key))
            }
            ("PUT" | "DELETE", None) => (EffectClass::Idempotent, by_method(head.method), None),
            _ => (EffectClass::Once, by_method(head.method), None),
        };
        let why = with_rule(rule, why);
        Guarded { class, why, rule: rule.cloned(), upstream, is_tool_call: false }
    }
}

/// Whether `host` is one of the table's providers of language models.
pub fn is_llm_provider(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    llm_providers().any(|row| row.names_host(host))
}

/// What decided, with the rule in front that matches the call but does not decide.
fn with_rule(rule: Option<&Arc<Rule>>, why: Cow<'static, str>) -> Cow<'static, str> {
    match rule {
        Some(rule) => format!("{}, {why}", rule.label).into(),
        None => why,
    }
}

fn by_method(method: &Method) -> Cow<'static, str> {
    match method.as_str() {
        "POST" => "method POST".into(),
        other => format!("method {other}").into(),
    }
}

#[cfg(test)]
mod tests;
