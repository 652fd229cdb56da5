//! The caller of a tool: who waits for the response, and in which format.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::value::RawValue;
use store_core::state::Knowledge;

use super::head::{self, ReplyFormat};
use super::message::ToolCall;
use super::reply::{self, ToolOutcome, UnnamedErrors};
use super::session_key::SessionKey;
use super::sse;
use crate::http::forms::kind::{BodyKind, body_kind, decoded};
use crate::http::hop_by_hop::remove_where;
use crate::http::target::Target;

/// The caller of a tool.
#[derive(Debug)]
pub struct Caller {
    id: Box<RawValue>,
    stateless: bool,
    format: ReplyFormat,
    /// The session on whose other streams the response may come.
    session: Option<SessionKey>,
    /// The token that notes of the call's progress name.
    progress_token: Option<String>,
    /// How many notes of its progress came on other streams.
    notes: AtomicU64,
}

impl Caller {
    /// The caller of a tool on a server.
    pub fn new(call: &ToolCall, headers: &HeaderMap, target: &Target) -> Self {
        Self {
            id: call.id.clone(),
            stateless: call.stateless,
            format: head::reply_format(headers),
            session: SessionKey::of(headers, target).filter(|_| !call.stateless),
            progress_token: call.progress_token.clone(),
            notes: AtomicU64::new(0),
        }
    }

    /// The id of its request, in canonical form.
    pub fn id(&self) -> &RawValue {
        &self.id
    }

    /// The session and the token by which notes of the call's progress are known.
    pub fn progress(&self) -> Option<(SessionKey, &str)> {
        self.session.zip(self.progress_token.as_deref())
    }

    /// A note of the call's progress came on another stream.
    pub fn note(&self) {
        self.notes.fetch_add(1, Ordering::Relaxed);
    }

    /// How many such notes came.
    pub fn notes(&self) -> u64 {
        self.notes.load(Ordering::Relaxed)
    }

    /// The session on whose other streams the response may come.
    pub fn session(&self) -> Option<SessionKey> {
        self.session
    }

    /// What `message` says of the call, if it is the response.
    pub fn outcome(&self, message: &[u8]) -> Option<ToolOutcome> {
        reply::tool_outcome(message, &self.id, UnnamedErrors::Ignored)
    }

    /// What a whole answer says that is not a stream, and the message in it. `body` is as it came.
    /// `None`: it was too large to be kept.
    pub fn read_answer(
        &self,
        headers: &HeaderMap,
        body: Option<&[u8]>,
    ) -> (ToolOutcome, Option<Bytes>) {
        let unknown =
            |why| (ToolOutcome { outcome: Knowledge::Unknown, tool_error: false, why }, None);
        let Some(body) = body else {
            return (ToolOutcome::TOO_LONG, None);
        };
        let Some(message) = decoded(headers, body) else {
            return unknown("the answer's content coding cannot be read");
        };
        match reply::tool_outcome(&message, &self.id, UnnamedErrors::Accepted) {
            Some(outcome) => (outcome, Some(Bytes::copy_from_slice(&message))),
            None => unknown("the answer has no response to the call"),
        }
    }

    /// Whether a stored answer with these header fields may be changed for this caller.
    pub fn converts(&self, headers: &HeaderMap) -> bool {
        matches!(body_kind(headers), BodyKind::Json)
    }

    /// A stored answer for this caller: with its own id, in a format that it reads. `None`: the
    /// answer is not a JSON-RPC message, and is passed on as it is.
    pub fn replay(&self, status: u16, headers: &mut HeaderMap, body: &[u8]) -> Option<Bytes> {
        if !self.converts(headers) {
            return None;
        }
        let message = decoded(headers, body)?;
        reply::id_of_response(&message)?;
        let message = reply::with_id(&message, &self.id);
        let message = if self.stateless { reply::with_type(message) } else { message };
        let success = (200..300).contains(&status);
        let format = if success { self.format } else { ReplyFormat::Json };
        Some(formatted(headers, format, message))
    }

    /// A problem of the engine's as a result of the tool.
    pub fn problem(&self, headers: &mut HeaderMap, text: &str, problem: &[u8]) -> Bytes {
        formatted(headers, self.format, self.problem_message(text, problem))
    }

    /// The same as one event of a stream.
    pub fn problem_event(&self, text: &str, problem: &[u8]) -> Bytes {
        sse::written(&self.problem_message(text, problem)).into()
    }

    fn problem_message(&self, text: &str, problem: &[u8]) -> Vec<u8> {
        let problem = serde_json::from_slice(problem).unwrap_or(RawValue::NULL);
        reply::tool_error(&self.id, text, problem, self.stateless)
    }
}

fn formatted(headers: &mut HeaderMap, format: ReplyFormat, message: Vec<u8>) -> Bytes {
    remove_where(headers, |name| ["content-encoding", "content-length"].contains(&name));
    let (media_type, body) = match format {
        ReplyFormat::Json => ("application/json", message),
        ReplyFormat::Event => ("text/event-stream", sse::written(&message)),
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    body.into()
}
