//! The calls that the server has not answered, by what its messages name.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use proxy::mcp::{progress_token, sse};
use tokio::sync::{mpsc, oneshot};

/// What keeps the proxy waiting: a comment, which clients skip.
const SIGN_OF_LIFE: &[u8] = b": progress\n\n";

/// The calls that the server has not answered, by the ids of their requests.
#[derive(Debug, Default)]
pub(super) struct PendingCalls(Mutex<HashMap<String, PendingCall>>);

#[derive(Debug)]
struct PendingCall {
    response: oneshot::Sender<Bytes>,
    /// What notes of its progress name, in canonical form.
    progress_token: Option<String>,
    /// Holds one note: more of them say nothing new.
    notes: mpsc::Sender<()>,
}

/// The response to a call, and the notes of its progress until then.
#[derive(Debug)]
pub(super) struct ExpectedResponse {
    /// Fails if no response will come.
    pub(super) response: oneshot::Receiver<Bytes>,
    pub(super) notes: mpsc::Receiver<()>,
}

impl PendingCalls {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, PendingCall>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if a call with this id is waiting already.
    pub(super) fn expect(
        &self,
        id: &str,
        progress_token: Option<String>,
    ) -> Option<ExpectedResponse> {
        let mut pending = self.lock();
        if pending.get(id).is_some_and(|waiting| !waiting.response.is_closed()) {
            return None;
        }
        let (sender, response) = oneshot::channel();
        let (notes, received) = mpsc::channel(1);
        pending.insert(id.to_owned(), PendingCall { response: sender, progress_token, notes });
        Some(ExpectedResponse { response, notes: received })
    }

    /// Takes a line of the server if it answers a call from here; also if nobody waits for that
    /// answer any more, because its caller already has another one.
    pub(super) fn deliver(&self, id: &str, line: &Bytes) -> bool {
        let waiting = self.lock().remove(id);
        waiting.map(|waiting| waiting.response.send(line.clone())).is_some()
    }

    /// Looks for a note of progress in a line of the server: a sign of life of the calls with its
    /// token.
    pub(super) fn note(&self, line: &[u8]) {
        let pending = self.lock();
        if pending.values().all(|call| call.progress_token.is_none()) {
            return;
        }
        let Some(token) = progress_token(line) else { return };
        for call in pending.values().filter(|call| call.progress_token.as_ref() == Some(&token)) {
            let _ = call.notes.try_send(());
        }
    }

    /// Stops waiting for a response: the outcome of the call is unknown.
    pub(super) fn give_up(&self, id: &str) {
        self.lock().remove(id);
    }

    /// No more responses will arrive.
    pub(super) fn end(&self) {
        self.lock().clear();
    }
}

/// The server has not responded, and will not: the connection breaks off, so that the proxy knows
/// that the outcome is unknown.
pub(super) fn no_response<E>(_: E) -> io::Error {
    io::Error::other("the server sent no response")
}

/// The answer to a call that reports progress: a comment for each note, and the response as the only
/// event.
#[derive(Debug)]
pub(super) struct ProgressStream(Option<ExpectedResponse>);

impl ProgressStream {
    pub(super) fn new(expected: ExpectedResponse) -> Self {
        Self(Some(expected))
    }
}

impl Body for ProgressStream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(expected) = &mut self.0 else { return Poll::Ready(None) };
        if let Poll::Ready(response) = Pin::new(&mut expected.response).poll(context) {
            self.0 = None;
            let event = response.map(|line| sse::written(line.trim_ascii_end()));
            return Poll::Ready(Some(
                event.map(|event| Frame::data(event.into())).map_err(no_response),
            ));
        }
        match expected.notes.poll_recv(context) {
            Poll::Ready(Some(())) => {
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(SIGN_OF_LIFE)))))
            }
            // Nothing is left to wait for but the response.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
