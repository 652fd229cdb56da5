//! What policy decides about a request, and how a guarded call is treated.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::Method;
use store_core::model::EffectClass;

use super::keyed::{KeyPlace, UpstreamKey};
use super::rule::Rule;
use crate::http::host_pattern::HostPattern;

/// What the head of a request decides.
#[derive(Debug, Clone, PartialEq)]
pub enum HeadDecision {
    /// The request is guarded or passed, whatever its body says.
    Decided(PolicyDecision),
    /// The body decides: read it, then call [`Policy::decide`](super::decide::Policy::decide).
    NeedsBody,
}

/// What is done with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyDecision {
    /// The request is keyed, claimed and recorded.
    Guard(Guarded),
    /// The request streams through.
    Pass(PassReason),
}

/// Why a request passes unguarded.
#[derive(Debug, Clone, PartialEq)]
pub enum PassReason {
    /// The method only reads.
    ReadMethod(Method),
    /// A row of the shipped table of POSTs that only read.
    ReadTable(&'static str),
    /// A rule with `effect = "read"`.
    ReadRule(Arc<Rule>),
    /// It signs in: a stored answer would be an old token.
    SignIn,
    /// A message of MCP that has no effect.
    Mcp(McpPass),
    /// The setting `--pass` names the host.
    PassedHost(HostPattern),
    /// The request asks to switch to another protocol.
    Upgrade,
    /// gRPC frames its own messages inside both bodies: no answer can be replayed.
    Grpc,
    /// A rule with `stream_request`.
    StreamRequest(Arc<Rule>),
    /// It is for the engine's own state API.
    StateApi,
}

/// Which message of MCP passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum McpPass {
    /// Any message that calls no tool, or the end of a session.
    Message,
    /// `tools/list`: the answer lists a server's tools.
    ToolsList,
    /// `subscriptions/listen`: the answer goes on until one side ends it.
    Listen,
    /// A call of a tool that a trusted server says is read-only.
    ReadOnlyTool,
}

impl PassReason {
    /// The reason in the header `Idempotency-Status`, for requests that may change something, so
    /// that the caller knows that they are not guarded. `None`: the request only reads.
    pub const fn bypass(&self) -> Option<&'static str> {
        match self {
            Self::ReadMethod(_) | Self::ReadTable(_) | Self::ReadRule(_) | Self::Mcp(_) => None,
            Self::SignIn => Some("sign-in"),
            Self::PassedHost(_) => Some("pass"),
            Self::Upgrade => Some("upgrade"),
            Self::Grpc => Some("grpc"),
            Self::StreamRequest(_) => Some("stream_request"),
            Self::StateApi => Some("state-api"),
        }
    }
}

/// The reason in words, as `explain` prints it.
impl fmt::Display for PassReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadMethod(method) => write!(f, "method {method}"),
            Self::ReadTable(row) => f.write_str(row),
            Self::ReadRule(rule) => f.write_str(rule.label()),
            Self::SignIn => f.write_str("sign-in"),
            Self::Mcp(McpPass::Message) => f.write_str("mcp"),
            Self::Mcp(McpPass::ToolsList) => f.write_str("mcp tools/list"),
            Self::Mcp(McpPass::Listen) => f.write_str("mcp subscriptions/listen"),
            Self::Mcp(McpPass::ReadOnlyTool) => f.write_str("mcp readOnlyHint"),
            Self::PassedHost(host) => write!(f, "--pass {host}"),
            Self::Upgrade => f.write_str("upgrade"),
            Self::Grpc => f.write_str("grpc"),
            Self::StreamRequest(rule) => write!(f, "stream_request {}", rule.label()),
            Self::StateApi => f.write_str("state-api"),
        }
    }
}

/// How a guarded call is treated.
#[derive(Debug, Clone, PartialEq)]
pub struct Guarded {
    /// What repeating the call would do.
    pub class: EffectClass,
    /// What decided, for the audit.
    pub why: Cow<'static, str>,
    /// The configured rule that matches the call.
    pub rule: Option<Arc<Rule>>,
    /// The key that the upstream gets. Only for the class `keyed`, and without a lifetime also for
    /// a call of the class `once` that has a key at this place, which distinguishes no calls.
    pub upstream: Option<UpstreamKey>,
    /// The call is a tool call of MCP.
    pub is_tool_call: bool,
}

impl Guarded {
    /// A call of this class that no rule matches.
    #[cfg(test)]
    pub(crate) fn by_class(class: EffectClass, why: impl Into<Cow<'static, str>>) -> Self {
        Self { class, why: why.into(), rule: None, upstream: None, is_tool_call: false }
    }

    /// Where the client's own key may stand besides `Idempotency-Key`. The first one found wins.
    pub fn key_places(&self) -> impl Iterator<Item = &KeyPlace> {
        let rule = self.rule.as_ref().and_then(|rule| rule.keys.place.as_ref());
        rule.into_iter().chain(self.upstream.as_ref().map(|upstream| &upstream.place))
    }

    /// Whether a header field holds a key, so that it distinguishes no calls. `name` is in lower
    /// case.
    pub(super) fn is_key(&self, name: &str) -> bool {
        self.key_places()
            .any(|place| matches!(place, KeyPlace::Header(header) if header.as_str() == name))
    }
}
