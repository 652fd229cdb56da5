//! The Model Context Protocol, as far as it decides about calls (docs/MCP.md): which message is a
//! tool call, which call it means, what its response says, how a stored response answers another
//! request.
//!
//! Pure: it reads texts and writes texts. The proxy uses it for MCP over HTTP, and the wrapper of
//! servers on stdio for the messages of those.

mod asker;
pub(crate) mod head;
pub(crate) mod hints;
pub(crate) mod long;
mod message;
mod reply;
pub(crate) mod sessions;
pub(crate) mod sse;
pub(crate) mod undelivered;
pub(crate) mod watch;

use std::sync::Arc;

use store::model::EffectClass;

pub(crate) use self::asker::{Asker, Form};
use self::hints::{Hint, Hints};
use crate::call::Received;
use crate::policy::{Decision, Passed};

pub use self::message::{KEY_MEMBER, Message, ToolCall, read};
pub(crate) use self::reply::Verdict;
pub use self::reply::{canonical_id, id_of_request, id_of_response, refusal, tool_error, with_id};

/// The rule of requests whose answers tell of a server's tools.
pub(crate) const TOOLS_LIST: &str = "mcp tools/list";

/// The rule of requests whose answers go on until somebody ends them.
pub(crate) const LISTEN: &str = "mcp subscriptions/listen";

/// The domain of servers on stdio. It is never resolved (RFC 6761, 6.4): the wrapper of such a server
/// says which port of the loopback is meant, so that its calls have the same key whatever the port.
pub const STDIO_DOMAIN: &str = "mcp-stdio.invalid";

/// The request header in which the wrapper of a server on stdio names its port. It is never sent on.
pub const STDIO_PORT: &str = "agent-stdio-port";

/// The name of a server on stdio, where the host is one.
pub(crate) fn stdio_name(host: &str) -> Option<&str> {
    host.strip_suffix(STDIO_DOMAIN)?.strip_suffix('.').filter(|name| !name.is_empty())
}

/// A tool call, and who waits for its response.
pub(crate) type Asked = (Box<ToolCall>, Arc<Asker>);

/// What is to be done with a message, and who waits for its response: only a `tools/call` has an
/// effect. A rule decides which, else what a trusted server says of its tool (`hints`).
pub(crate) fn decide(
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

/// Does the name of a variable say that its value is a secret: it tells whose credentials a server
/// on stdio has.
pub fn is_secret_variable(name: &str) -> bool {
    crate::headers::is_secret_name(name)
}

/// What the proxy knows of MCP servers and of calls that wait for their responses.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) hints: Arc<Hints>,
    pub(crate) sessions: Arc<sessions::Sessions>,
    pub(crate) undelivered: undelivered::Undelivered,
}

impl Known {
    pub(crate) fn new(trusted: &[String]) -> Self {
        Self {
            hints: Arc::new(Hints::new(trusted)),
            sessions: Arc::default(),
            undelivered: undelivered::Undelivered::default(),
        }
    }
}
