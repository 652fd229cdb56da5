//! Responses that come on another stream of their session: until 2025-11-25 a server may end the
//! stream of a call early and send the response on a GET with `Last-Event-ID`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use proxy_core::mcp::reply::id_of_response;
use proxy_core::mcp::session_key::SessionKey;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

/// A response, and whom to tell that it is on disk.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) message: Bytes,
    pub(crate) recorded: oneshot::Sender<()>,
}

type Waiting = HashMap<(SessionKey, String), mpsc::Sender<Delivery>>;

/// The calls that wait; as many as are in flight.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Waiting>);

impl Sessions {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the response to `id` from now on.
    pub(crate) fn expect(self: &Arc<Self>, session: SessionKey, id: &RawValue) -> Expected {
        let (sender, deliveries) = mpsc::channel(1);
        let key = (session, id.get().to_owned());
        self.waiting().insert(key.clone(), sender.clone());
        Expected { sessions: Arc::clone(self), key, sender, deliveries }
    }

    /// Hands a message to the call that it answers. `None`: nobody waits for it. Else the receiver
    /// gets word when it is on disk, and none where it cannot be.
    pub(crate) async fn deliver(
        &self,
        session: SessionKey,
        message: &[u8],
    ) -> Option<oneshot::Receiver<()>> {
        if self.waiting().is_empty() {
            return None;
        }
        let key = (session, id_of_response(message)?);
        let waiting = self.waiting().get(&key)?.clone();
        let (recorded, receiver) = oneshot::channel();
        let delivery = Delivery { message: Bytes::copy_from_slice(message), recorded };
        waiting.send(delivery).await.ok()?;
        Some(receiver)
    }
}

/// A call's place among those that wait, given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Expected {
    sessions: Arc<Sessions>,
    key: (SessionKey, String),
    sender: mpsc::Sender<Delivery>,
    deliveries: mpsc::Receiver<Delivery>,
}

impl Expected {
    /// The response. Cancel-safe.
    pub(crate) async fn came(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }
}

impl Drop for Expected {
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
        let authority = Authority { host: "a".to_owned(), port: 1 };
        let target = Target { scheme: Scheme::Http, authority, path_and_query: "/".to_owned() };
        SessionKey::of(&headers, &target).unwrap()
    }

    #[tokio::test]
    async fn a_response_finds_the_call_of_its_session_and_id() {
        let sessions = Arc::new(Sessions::default());
        let id = serde_json::from_str::<Box<RawValue>>("7").unwrap();
        let mut expected = sessions.expect(session("a"), &id);
        let response = br#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
        assert!(sessions.deliver(session("b"), response).await.is_none());
        let request = br#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
        assert!(sessions.deliver(session("a"), request).await.is_none());
        let recorded = sessions.deliver(session("a"), response).await.unwrap();
        let delivery = expected.came().await.unwrap();
        assert_eq!(&delivery.message[..], response);
        delivery.recorded.send(()).unwrap();
        recorded.await.unwrap();
        drop(expected);
        assert!(sessions.deliver(session("a"), response).await.is_none());
        assert!(sessions.waiting().is_empty());
    }
}
