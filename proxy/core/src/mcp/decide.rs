//! What is to be done with a message of MCP.

use std::sync::Arc;

use store_core::model::EffectClass;

use super::caller::Asker;
use super::message::{Message, ToolCall};
use super::tool_hints::{Hint, Hints};
use crate::policy::decision::{Decision, Passed};
use crate::received::Received;

/// The rule of requests whose answers tell of a server's tools.
pub const TOOLS_LIST: &str = "mcp tools/list";

/// The rule of requests whose answers go on until somebody ends them.
pub const LISTEN: &str = "mcp subscriptions/listen";

/// A tool call, and who waits for its response.
pub type Asked = (Box<ToolCall>, Arc<Asker>);

/// What is to be done with a message, and who waits for its response: only a `tools/call` has an
/// effect. A rule decides which, else what a trusted server says of its tool (`hints`).
pub fn decide(
    hints: Option<&Hints>,
    request: &Received,
    message: Message,
) -> (Option<Asked>, Decision) {
    let pass = |rule: &'static str| Decision::Pass { kind: Passed::Read, rule: rule.into() };
    let Received { target, head, policy, .. } = request;
    let call = match message {
        Message::Call(call) => call,
        Message::Other { method } if method.as_deref() == Some("tools/list") => {
            return (None, pass(TOOLS_LIST));
        }
        Message::Other { method } if method.as_deref() == Some("subscriptions/listen") => {
            return (None, pass(LISTEN));
        }
        Message::Other { .. } => return (None, pass("mcp")),
    };
    let (class, why) = match hints.and_then(|hints| hints.of(target, &call.name)) {
        Some(Hint::ReadOnly) if policy.rule(&head.method, target, Some(&call.name)).is_none() => {
            return (None, pass("mcp readOnlyHint"));
        }
        Some(Hint::Idempotent) => (EffectClass::Idempotent, "mcp idempotentHint"),
        _ => (EffectClass::Once, "mcp tools/call"),
    };
    let decision = policy.decide_tool(&head.method, target, &call.name, class, why);
    let asker = matches!(decision, Decision::Guard(_))
        .then(|| Arc::new(Asker::new(&call, &head.headers, target)));
    (asker.map(|asker| (call, asker)), decision)
}
