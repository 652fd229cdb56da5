//! Who waits for the response to a tool call, and in which form.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::value::RawValue;
use store_core::key::{Digest, HolderKey};
use store_core::state::Knowledge;

use super::head::{self, Form};
use super::message::ToolCall;
use super::reply::{self, Verdict};
use super::session_key::SessionKey;
use super::sse;
use crate::http::forms::kind::{Kind, kind, plain};
use crate::http::hop_by_hop::remove_where;
use crate::http::target::Target;

/// Which call a caller means: its key's place, and its input.
pub type Which = (HolderKey, Digest);

/// The caller of a tool.
#[derive(Debug)]
pub struct Asker {
    id: Box<RawValue>,
    stateless: bool,
    form: Form,
    /// The session on whose other streams the response may come.
    session: Option<SessionKey>,
    /// Known once its key is.
    which: OnceLock<Which>,
    /// It has left before its answer was there.
    gone: AtomicBool,
}

impl Asker {
    pub fn new(call: &ToolCall, headers: &HeaderMap, target: &Target) -> Self {
        Self {
            id: call.id.clone(),
            stateless: call.stateless,
            form: head::wanted(headers),
            session: SessionKey::of(headers, target).filter(|_| !call.stateless),
            which: OnceLock::new(),
            gone: AtomicBool::new(false),
        }
    }

    /// In canonical form.
    pub fn id(&self) -> &RawValue {
        &self.id
    }

    /// Says which call it means.
    pub fn means(&self, which: Which) {
        let _ = self.which.set(which);
    }

    /// Which call it means; `None` where it has no key.
    pub fn which(&self) -> Option<Which> {
        self.which.get().copied()
    }

    /// The caller has left.
    pub fn leaves(&self) {
        self.gone.store(true, Ordering::Release);
    }

    pub fn has_left(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub fn session(&self) -> Option<SessionKey> {
        self.session
    }

    /// What `message` says of the call, where it is its response.
    pub fn verdict(&self, message: &[u8]) -> Option<Verdict> {
        reply::verdict(message, &self.id, false)
    }

    /// What a whole answer says that is no stream, and the message in it. `body` as it came; `None`
    /// where it was too large to be kept.
    pub fn judge(&self, headers: &HeaderMap, body: Option<&[u8]>) -> (Verdict, Option<Bytes>) {
        let unknown = |why| (Verdict { outcome: Knowledge::Unknown, tool_error: false, why }, None);
        let Some(body) = body else {
            return (Verdict::TOO_LONG, None);
        };
        let Some(message) = plain(headers, body) else {
            return unknown("the answer's content coding cannot be read");
        };
        match reply::verdict(&message, &self.id, true) {
            Some(verdict) => (verdict, Some(Bytes::copy_from_slice(&message))),
            None => unknown("the answer holds no response to the call"),
        }
    }

    /// A stored answer for this caller: its own id, in a form that it reads. `None` where it is no
    /// JSON-RPC message: then it is passed on as it is.
    pub fn replayed(&self, status: u16, headers: &mut HeaderMap, body: &[u8]) -> Option<Bytes> {
        if !matches!(kind(headers), Kind::Json) {
            return None;
        }
        let message = plain(headers, body)?;
        reply::id_of_response(&message)?;
        let message = reply::with_id(&message, &self.id);
        let message = if self.stateless { reply::typed(message) } else { message };
        let form = if (200..300).contains(&status) { self.form } else { Form::Json };
        Some(dressed(headers, form, message))
    }

    /// A problem of ours as a result of the tool.
    pub fn problem(&self, headers: &mut HeaderMap, text: &str, problem: &[u8]) -> Bytes {
        let data = serde_json::from_slice::<&RawValue>(problem).ok();
        let message = reply::tool_error(&self.id, text, data, self.stateless);
        dressed(headers, self.form, message)
    }

    /// The same as one event of a stream.
    pub fn problem_event(&self, text: &str, problem: &[u8]) -> Bytes {
        let data = serde_json::from_slice::<&RawValue>(problem).ok();
        sse::written(&reply::tool_error(&self.id, text, data, self.stateless)).into()
    }
}

fn dressed(headers: &mut HeaderMap, form: Form, message: Vec<u8>) -> Bytes {
    remove_where(headers, |name| ["content-encoding", "content-length"].contains(&name));
    let (kind, body) = match form {
        Form::Json => ("application/json", message),
        Form::Event => ("text/event-stream", sse::written(&message)),
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    body.into()
}
