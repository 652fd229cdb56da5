//! What a response says of its call, and responses that the engine writes.

use std::borrow::Cow;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use store_core::canonical;
use store_core::state::Knowledge;

use super::lost_words::says_lost;

/// What the response to a call says (docs/SEMANTICS.md, "What an upstream's answer means").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolOutcome {
    /// What is known about the call.
    pub outcome: Knowledge,
    /// The tool ran and reported an error.
    pub tool_error: bool,
    /// Why, for the audit.
    pub why: &'static str,
}

impl ToolOutcome {
    /// The outcome of a call whose answer is too large to be kept.
    pub const TOO_LONG: Self =
        Self::of(Knowledge::Executed, "the tool's answer was too large to keep");

    /// The outcome of a call of which its own tool does not know the end.
    const LOST: Self =
        Self::of(Knowledge::Unknown, "the tool's error says that the end is unknown");

    const fn of(outcome: Knowledge, why: &'static str) -> Self {
        Self { outcome, tool_error: false, why }
    }

    const fn error(why: &'static str) -> Self {
        Self { outcome: Knowledge::Executed, tool_error: true, why }
    }
}

#[derive(Deserialize)]
struct JsonRpcMessage<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultKind<'a> {
    #[serde(default)]
    is_error: Option<bool>,
    #[serde(borrow, default)]
    result_type: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ErrorCode {
    code: i64,
}

/// The response in `text`. `None`: it is a request, a notification or no message at all.
fn response(text: &[u8]) -> Option<JsonRpcMessage<'_>> {
    let response: JsonRpcMessage<'_> = serde_json::from_slice(text).ok()?;
    let is_one =
        response.method.is_none() && (response.result.is_some() || response.error.is_some());
    is_one.then_some(response)
}

/// The canonical text of a response's id. `None`: `text` is not a response, or has no id.
pub fn id_of_response(text: &[u8]) -> Option<String> {
    canonical_id(response(text)?.id?)
}

/// An id in the form in which ids are compared.
pub fn canonical_id(id: &RawValue) -> Option<String> {
    String::from_utf8(canonical::json(id.get().as_bytes())?).ok()
}

/// Whether an error without an id is the response to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnnamedErrors {
    /// Not on a stream with other messages.
    Ignored,
    /// In an answer that holds one message only.
    Accepted,
}

/// What the response to the call `id` (in canonical form) says. `None`: `text` is not that
/// response.
pub(crate) fn tool_outcome(
    text: &[u8],
    id: &RawValue,
    unnamed: UnnamedErrors,
) -> Option<ToolOutcome> {
    let response = response(text)?;
    match response.id {
        Some(of) => (canonical_id(of)? == id.get()).then_some(())?,
        None if unnamed == UnnamedErrors::Accepted && response.error.is_some() => {}
        None => return None,
    }
    if let Some(error) = response.error {
        let code = serde_json::from_str::<ErrorCode>(error.get()).ok().map(|e| e.code);
        return Some(failed(code, error));
    }
    let result = response.result?;
    let outcome = serde_json::from_str::<ResultKind<'_>>(result.get()).ok();
    let is_error = outcome.as_ref().is_some_and(|outcome| outcome.is_error == Some(true));
    let kind = outcome.as_ref().and_then(|outcome| outcome.result_type.as_deref());
    Some(match kind {
        Some("input_required") => {
            ToolOutcome::of(Knowledge::NotExecuted, "it asks for input first")
        }
        _ if is_error && speaks_of_loss(result) => ToolOutcome::LOST,
        _ if is_error => ToolOutcome::error("the tool answered with an error"),
        _ => ToolOutcome::of(Knowledge::Executed, "the tool answered"),
    })
}

fn failed(code: Option<i64>, error: &RawValue) -> ToolOutcome {
    match code {
        Some(-32_700 | -32_600 | -32_601 | -32_602 | -32_020) => {
            ToolOutcome::of(Knowledge::NotExecuted, "the server refused the call")
        }
        Some(-32_603) => ToolOutcome::of(
            Knowledge::Unknown,
            "the server failed and does not say how much it did",
        ),
        // "Request timed out" of the official SDKs for TypeScript and for Python.
        Some(-32_001 | 408) => ToolOutcome::LOST,
        _ if speaks_of_loss(error) => ToolOutcome::LOST,
        _ => ToolOutcome::error("the server answered with an error"),
    }
}

/// Whether a text in an error, at any depth, says that the outcome is unknown.
fn speaks_of_loss(error: &RawValue) -> bool {
    fn any(value: &Value) -> bool {
        match value {
            Value::String(text) => says_lost(text),
            Value::Array(values) => values.iter().any(any),
            Value::Object(members) => members.values().any(any),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    serde_json::from_str(error.get()).is_ok_and(|value| any(&value))
}

/// `text`, a response, with another id. Every other byte stays. Unchanged if it has no id.
pub fn with_id(text: &[u8], id: &RawValue) -> Vec<u8> {
    let place = response(text).and_then(|response| {
        let old = response.id?.get();
        // The id is borrowed from `text`, so its address gives its position.
        let start = old.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        Some(start..start + old.len())
    });
    let Some(place) = place else { return text.to_vec() };
    [&text[..place.start], id.get().as_bytes(), &text[place.end..]].concat()
}

/// A result with its type, which the stateless protocol requires and earlier versions left out
/// (2026-07-28, "`ResultType`").
pub(super) fn with_type(text: Vec<u8>) -> Vec<u8> {
    let place = response(&text).and_then(|response| {
        let result = response.result?.get();
        let outcome: ResultKind<'_> = serde_json::from_str(result).ok()?;
        let start = result.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        outcome.result_type.is_none().then_some((start + 1, result[1..].trim_start() == "}"))
    });
    let Some((at, empty)) = place else { return text };
    let member: &[u8] =
        if empty { br#""resultType":"complete""# } else { br#""resultType":"complete","# };
    [&text[..at], member, &text[at..]].concat()
}

/// The canonical text of the token of a note of progress. `None`: `text` is not one.
pub fn progress_token(text: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Note<'a> {
        #[serde(borrow)]
        method: Cow<'a, str>,
        #[serde(borrow)]
        params: NoteParams<'a>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct NoteParams<'a> {
        #[serde(borrow)]
        progress_token: &'a RawValue,
    }
    let note: Note<'_> = serde_json::from_slice(text).ok()?;
    (note.method == "notifications/progress").then(|| canonical_id(note.params.progress_token))?
}

/// The canonical text of a request's id. `None`: `text` is not a request, or has no id.
pub fn id_of_request(text: &[u8]) -> Option<String> {
    let request: JsonRpcMessage<'_> = serde_json::from_slice(text).ok()?;
    request.method?;
    canonical_id(request.id?)
}

/// The error response to a request that was not carried out. `text` is the request, `problem` the
/// same for programs.
pub fn refusal(text: &[u8], message: &str, problem: &RawValue) -> Vec<u8> {
    #[derive(Deserialize)]
    struct IdOnly<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
    }
    #[derive(Serialize)]
    struct ErrorResponse<'a> {
        jsonrpc: &'static str,
        id: Option<&'a RawValue>,
        error: ErrorMember<'a>,
    }
    #[derive(Serialize)]
    struct ErrorMember<'a> {
        code: i32,
        message: &'a str,
        data: &'a RawValue,
    }
    let id = serde_json::from_slice::<IdOnly<'_>>(text).ok().and_then(|request| request.id);
    let error = ErrorMember { code: -32_600, message, data: problem };
    serde_json::to_vec(&ErrorResponse { jsonrpc: "2.0", id, error }).unwrap_or_default()
}

/// A result that says, for the model, why there is none of the tool. `problem` is for programs.
pub fn tool_error(id: &RawValue, text: &str, problem: &RawValue, stateless: bool) -> Vec<u8> {
    #[derive(Serialize)]
    struct ResultResponse<'a> {
        jsonrpc: &'static str,
        id: &'a RawValue,
        result: ToolResult<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct ToolResult<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        result_type: Option<&'static str>,
        content: [TextContent<'a>; 1],
        is_error: bool,
        #[serde(rename = "_meta")]
        meta: ResultMeta<'a>,
    }
    #[derive(Serialize)]
    struct TextContent<'a> {
        r#type: &'static str,
        text: &'a str,
    }
    #[derive(Serialize)]
    struct ResultMeta<'a> {
        #[serde(rename = "openclaw-state-engine/problem")]
        problem: &'a RawValue,
    }
    let response = ResultResponse {
        jsonrpc: "2.0",
        id,
        result: ToolResult {
            result_type: stateless.then_some("complete"),
            content: [TextContent { r#type: "text", text }],
            is_error: true,
            meta: ResultMeta { problem },
        },
    };
    serde_json::to_vec(&response).unwrap_or_default()
}

#[cfg(test)]
mod tests;
