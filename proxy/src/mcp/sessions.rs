//! Responses that come on another stream of their session: until 2025-11-25 a server may end the
//! stream of a call early and send the response on a GET with `Last-Event-ID`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use proxy_core::mcp::caller::Caller;
use proxy_core::mcp::reply::{id_of_response, progress_token};
use proxy_core::mcp::session_key::SessionKey;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

/// A response that came on another stream, and the sender that reports that it is on disk.
#[derive(Debug)]
pub(crate) struct SessionResponse {
    pub(crate) message: Bytes,
    pub(crate) recorded: oneshot::Sender<()>,
}

type Waiting = HashMap<(SessionKey, String), mpsc::Sender<SessionResponse>>;

/// The calls that run, by what notes of their progress name.
type Progressing = HashMap<(SessionKey, String), Arc<Caller>>;

/// The calls that wait for their responses, and those that may send notes of their progress. As
/// many as are in flight.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    waiting: Mutex<Waiting>,
    progressing: Mutex<Progressing>,
}

impl Sessions {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progressing(&self) -> std::sync::MutexGuard<'_, Progressing> {
        self.progressing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes notes of a call's progress to its caller, until the guard is dropped.
    pub(crate) fn follow(self: &Arc<Self>, caller: &Arc<Caller>) -> Option<FollowedProgress> {
        let (session, token) = caller.progress()?;
        let key = (session, token.to_owned());
        self.progressing().insert(key.clone(), Arc::clone(caller));
        Some(FollowedProgress { sessions: Arc::clone(self), key, caller: Arc::clone(caller) })
    }

    /// Looks for a note of progress in a message: a sign of life of the call that it is about.
    fn note(&self, session: SessionKey, message: &[u8]) {
        if self.progressing().is_empty() {
            return;
        }
        if let Some(token) = progress_token(message)
            && let Some(caller) = self.progressing().get(&(session, token))
        {
            caller.note();
        }
    }

    /// Waits for the response to `id` from now on.
    pub(crate) fn expect(self: &Arc<Self>, session: SessionKey, id: &RawValue) -> ExpectedResponse {
        let (sender, responses) = mpsc::channel(1);
        let key = (session, id.get().to_owned());
        self.waiting().insert(key.clone(), sender.clone());
        ExpectedResponse { sessions: Arc::clone(self), key, sender, responses }
    }

    /// Hands a message to the call that it answers. `None`: no call waits for it. The receiver
    /// completes when the message is on disk, and fails if it cannot be recorded.
    pub(crate) async fn deliver(
        &self,
        session: SessionKey,
        message: &[u8],
    ) -> Option<oneshot::Receiver<()>> {
        self.note(session, message);
        if self.waiting().is_empty() {
            return None;
        }
        let key = (session, id_of_response(message)?);
        let waiting = self.waiting().get(&key)?.clone();
        let (recorded, receiver) = oneshot::channel();
        let response = SessionResponse { message: Bytes::copy_from_slice(message), recorded };
        waiting.send(response).await.ok()?;
        Some(receiver)
    }
}

/// A call whose progress is followed, until this is dropped.
#[derive(Debug)]
pub(crate) struct FollowedProgress {
    sessions: Arc<Sessions>,
    key: (SessionKey, String),
    caller: Arc<Caller>,
}

impl Drop for FollowedProgress {
    fn drop(&mut self) {
        let mut progressing = self.sessions.progressing();
        // A client that used the token twice has put another call here.
        if progressing.get(&self.key).is_some_and(|caller| Arc::ptr_eq(caller, &self.caller)) {
            progressing.remove(&self.key);
        }
    }
}

/// A call that waits for its response, until this is dropped.
#[derive(Debug)]
pub(crate) struct ExpectedResponse {
    sessions: Arc<Sessions>,
    key: (SessionKey, String),
    sender: mpsc::Sender<SessionResponse>,
    responses: mpsc::Receiver<SessionResponse>,
}

impl ExpectedResponse {
    /// Waits for the response. Cancel-safe.
    pub(crate) async fn response(&mut self) -> Option<SessionResponse> {
        self.responses.recv().await
    }
}

impl Drop for ExpectedResponse {
    fn drop(&mut self) {
        let mut waiting = self.sessions.waiting();
        // A client that used the id twice has put another call here.
        if waiting.get(&self.key).is_some_and(|sender| sender.same_channel(&self.sender)) {
            waiting.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderMap, HeaderValue};

    use super::*;
    use proxy_core::http::target::{Authority, Scheme, Target};

    fn session(id: &'static str) -> SessionKey {
        let mut headers = HeaderMap::new();
        headers.insert("mcp-session-id", HeaderValue::from_static(id));
        let authority = Authority::new("a", 1);
        let target = Target { scheme: Scheme::Http, authority, path_and_query: "/".to_owned() };
        SessionKey::of(&headers, &target).unwrap()
    }

    #[tokio::test]
    async fn a_response_finds_the_call_of_its_session_and_id() {
        let sessions = Arc::new(Sessions::default());
        let id = serde_json::from_str::<Box<RawValue>>("7").unwrap();
        let mut expected = sessions.expect(session("a"), &id);
        let message = br#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
        assert!(sessions.deliver(session("b"), message).await.is_none());
        let request = br#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
        assert!(sessions.deliver(session("a"), request).await.is_none());
        let recorded = sessions.deliver(session("a"), message).await.unwrap();
        let response = expected.response().await.unwrap();
        assert_eq!(&response.message[..], message);
        response.recorded.send(()).unwrap();
        recorded.await.unwrap();
        drop(expected);
        assert!(sessions.deliver(session("a"), message).await.is_none());
        assert!(sessions.waiting().is_empty());
    }
}
