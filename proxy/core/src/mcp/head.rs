//! What the head of a request says about MCP (Streamable HTTP, 2025-03-26 to 2026-07-28).

use http::Method;
use http::header::{ACCEPT, HeaderMap, HeaderName};

use super::message::{self, Message};
use crate::http::forms::kind::{BodyKind, body_kind, decoded};

/// The methods that identify an MCP client without a header of MCP's. The first requests of a
/// session have none.
const METHODS: &[&str] = &[
    "initialize",
    "server/discover",
    "ping",
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "logging/setLevel",
    "subscriptions/listen",
];

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");

/// The format of an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyFormat {
    /// One JSON document.
    Json,
    /// One server-sent event.
    Event,
}

/// The session that a request belongs to.
pub fn session_id(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(SESSION_ID).map(http::HeaderValue::as_bytes)
}

/// Whether the request has a header that only MCP knows.
fn has_own_header(headers: &HeaderMap) -> bool {
    [PROTOCOL_VERSION, METHOD, SESSION_ID].iter().any(|name| headers.contains_key(name))
}

fn accepts(headers: &HeaderMap, media: &str) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .any(|range| range.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media))
}

/// The format that the caller reads a response in.
pub(super) fn reply_format(headers: &HeaderMap) -> ReplyFormat {
    let json = accepts(headers, "application/json");
    if !json && accepts(headers, "text/event-stream") {
        ReplyFormat::Event
    } else {
        ReplyFormat::Json
    }
}

/// Whether the body may be a message of MCP.
pub fn may_be_message(method: &Method, headers: &HeaderMap) -> bool {
    let reads_both =
        || ["application/json", "text/event-stream"].iter().all(|media| accepts(headers, media));
    method == Method::POST
        && (has_own_header(headers) || reads_both())
        && matches!(body_kind(headers), BodyKind::Json)
}

/// Whether the head says that the body is a tool call (since 2026-07-28), so that the scope can be
/// checked before the body is asked for. The body decides.
pub fn says_call(headers: &HeaderMap) -> bool {
    headers.get(METHOD).is_some_and(|method| method.as_bytes() == b"tools/call")
}

/// Whether the request ends a session. That is not an effect of a tool.
pub(crate) fn ends_session(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::DELETE && headers.contains_key(SESSION_ID)
}

/// Whether the request opens a stream of its session.
pub fn opens_stream(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::GET && accepts(headers, "text/event-stream")
}

/// The message in the body of a request that [`may_be_message`]. `None`: it is ordinary JSON.
///
/// A `tools/call` counts only if the caller reads JSON or events, as MCP requires. The transport of
/// 2024-11-05, which answers 202 and sends the response elsewhere, is not supported.
pub fn message(headers: &HeaderMap, body: &[u8]) -> Option<Message> {
    match message::read(&decoded(headers, body)?)? {
        call @ Message::Call(_) => {
            let reads = ["application/json", "text/event-stream"];
            reads.iter().any(|media| accepts(headers, media)).then_some(call)
        }
        other @ Message::Other { .. } if has_own_header(headers) => Some(other),
        Message::Other { method: Some(method) }
            if METHODS.contains(&method.as_str()) || method.starts_with("notifications/") =>
        {
            Some(Message::Other { method: Some(method) })
        }
        Message::Other { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_TYPE, HeaderValue};

    use super::*;

    const BOTH: (&str, &str) = ("accept", "application/json, text/event-stream");
    const VERSION: (&str, &str) = ("mcp-protocol-version", "2025-11-25");

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn read(fields: &[(&'static str, &'static str)], body: &str) -> &'static str {
        let headers = headers(fields);
        if !may_be_message(&Method::POST, &headers) {
            return "ordinary";
        }
        match message(&headers, body.as_bytes()) {
            Some(Message::Call(_)) => "call",
            Some(Message::Other { .. }) => "other",
            None => "ordinary",
        }
    }

    /// Headers, body, and what they are read as.
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

    #[test]
    fn an_ordinary_json_rpc_api_is_not_mcp() {
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#;
        let pay = r#"{"jsonrpc":"2.0","id":1,"method":"pay","params":{"name":"a"}}"#;
        let init = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        let table: [Row<'_>; 13] = [
            (&[BOTH], call, "call"),
            (&[VERSION, ("accept", "application/json")], call, "call"),
            (&[VERSION, ("accept", "text/event-stream")], call, "call"),
            (&[VERSION, ("accept", "*/*")], call, "ordinary"),
            (&[("accept", "application/json")], call, "ordinary"),
            (&[], call, "ordinary"),
            (&[BOTH], pay, "ordinary"),
            (&[BOTH, VERSION], pay, "other"),
            (&[BOTH], init, "other"),
            (&[], init, "ordinary"),
            (&[BOTH], answer, "ordinary"),
            (&[BOTH, VERSION], answer, "other"),
            (&[BOTH, VERSION], "[]", "ordinary"),
        ];
        for (fields, body, want) in table {
            assert_eq!(read(fields, body), want, "{fields:?} {body}");
        }
    }

    #[test]
    fn a_replay_is_in_a_form_that_is_read() {
        let format = |accept: &'static str| reply_format(&headers(&[("accept", accept)]));
        assert_eq!(format("application/json, text/event-stream"), ReplyFormat::Json);
        assert_eq!(format("text/event-stream"), ReplyFormat::Event);
        assert_eq!(format("Application/JSON;q=0.1"), ReplyFormat::Json);
        assert_eq!(format("*/*"), ReplyFormat::Json);
    }
}
