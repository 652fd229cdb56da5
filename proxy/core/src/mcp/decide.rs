//! What is done with a message of MCP.

use std::sync::Arc;

use store_core::model::EffectClass;

use super::caller::Caller;
use super::message::{Message, ToolCall};
use super::tool_hints::{Hint, Hints};
use crate::http::head::RequestHead;
use crate::policy::decide::Policy;
use crate::policy::decision::{McpPass, PassReason, PolicyDecision};
use crate::policy::rule::CallNames;

/// A guarded tool call, and the caller that waits for its response.
#[derive(Debug)]
pub struct ToolRequest {
    /// What the message says.
    pub call: Box<ToolCall>,
    /// Who gets the response.
    pub caller: Arc<Caller>,
}

/// Decides about a message. Only a `tools/call` has an effect: a rule says which, or what a trusted
/// server says of its tool (`hints`). The tool request is there only if the call is guarded.
pub fn decide(
    policy: &Policy,
    hints: Option<&Hints>,
    head: RequestHead<'_>,
    message: Message,
) -> (Option<ToolRequest>, PolicyDecision) {
    let pass = |message| (None, PolicyDecision::Pass(PassReason::Mcp(message)));
    let call = match message {
        Message::Call(call) => call,
        Message::Other { method } => {
            return pass(match method.as_deref() {
                Some("tools/list") => McpPass::ToolsList,
                Some("subscriptions/listen") => McpPass::Listen,
                _ => McpPass::Message,
            });
        }
    };
    let (class, why) = match hints.and_then(|hints| hints.of(head.target, &call.name)) {
        Some(Hint::ReadOnly) if policy.rule(head, CallNames::of_tool(&call.name)).is_none() => {
            return pass(McpPass::ReadOnlyTool);
        }
        Some(Hint::Idempotent) => (EffectClass::Idempotent, "mcp idempotentHint"),
        _ => (EffectClass::Once, "mcp tools/call"),
    };
    let decision = policy.decide_tool(head, &call.name, class, why);
    let request = matches!(decision, PolicyDecision::Guard(_)).then(|| {
        let caller = Arc::new(Caller::new(&call, head.headers, head.target));
        ToolRequest { call, caller }
    });
    (request, decision)
}
