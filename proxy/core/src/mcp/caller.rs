//! The caller of a tool: who waits for the response, and in which format.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::value::RawValue;
use store_core::key::{Digest, HolderKey};
use store_core::state::Knowledge;

use super::head::{self, ReplyFormat};
use super::message::ToolCall;
use super::reply::{self, ToolOutcome, UnnamedErrors};
use super::session_key::SessionKey;
use super::sse;
use crate::http::forms::kind::{BodyKind, body_kind, decoded};
use crate::http::hop_by_hop::remove_where;
use crate::http::target::Target;

/// Which call a caller means: the holder of its key, and the fingerprint of its input.
pub type KeyAndInput = (HolderKey, Digest);

/// The caller of a tool.
#[derive(Debug)]
pub struct Caller {
    id: Box<RawValue>,
    stateless: bool,
    format: ReplyFormat,
    /// The session on whose other streams the response may come.
    session: Option<SessionKey>,
    /// Known once the key is derived.
    identity: OnceLock<KeyAndInput>,
    /// The caller has left before its answer came.
    left: AtomicBool,
}

impl Caller {
    /// The caller of a tool on a server.
    pub fn new(call: &ToolCall, headers: &HeaderMap, target: &Target) -> Self {
        Self {
            id: call.id.clone(),
            stateless: call.stateless,
            format: head::reply_format(headers),
            session: SessionKey::of(headers, target).filter(|_| !call.stateless),
            identity: OnceLock::new(),
            left: AtomicBool::new(false),
        }
    }

    /// The id of its request, in canonical form.
    pub fn id(&self) -> &RawValue {
        &self.id
    }

    /// Sets which call it means.
    pub fn identify(&self, identity: KeyAndInput) {
        let _ = self.identity.set(identity);
    }

    /// Which call it means. `None`: the call has no key.
    pub fn identity(&self) -> Option<KeyAndInput> {
        self.identity.get().copied()
    }

    /// Remembers that the caller has left.
    pub fn leave(&self) {
        self.left.store(true, Ordering::Release);
    }

    /// Whether the caller has left.
    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
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

    /// A stored answer for this caller: with its own id, in a format that it reads. `None`: the
    /// answer is not a JSON-RPC message, and is passed on as it is.
    pub fn replay(&self, status: u16, headers: &mut HeaderMap, body: &[u8]) -> Option<Bytes> {
        if !matches!(body_kind(headers), BodyKind::Json) {
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
