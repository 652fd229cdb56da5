//! HTTP/2 to an upstream: one connection, many requests at once.
//!
//! Counted bytes say nothing about one request among many. Only the upstream itself proves that it
//! has not begun with a request: by `REFUSED_STREAM`, or by a GOAWAY whose last stream comes before
//! the request (RFC 9113, 8.7 and 6.8).

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper::header::{CONNECTION, HeaderValue, TE};
use hyper::http::uri;
use hyper::{Request, Response, Uri, Version};
use hyper_util::rt::TokioIo;
use proxy_core::http::hop_by_hop;
use proxy_core::http::target::Target;
use proxy_core::http::written;
use tokio::sync::mpsc;

use super::http1_io::Io;
use super::wire::WireCounters;
use crate::body::request::RequestBody;

/// How many requests one connection carries at once. RFC 9113 asks upstreams to allow 100.
const MOST_STREAMS: usize = 64;

/// How much of an answer may come that is not read yet, in bytes. The connection's window has room
/// for all of them, so that an answer whose client takes nothing holds no other back.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The largest head of an answer, in bytes.
const MAX_HEAD: u32 = 256 * 1024;

/// A connection that requests share.
#[derive(Debug)]
pub(super) struct Http2Connection {
    sender: SendRequest<RequestBody>,
    wire: Arc<WireCounters>,
    open: AtomicUsize,
}

impl Http2Connection {
    pub(super) async fn handshake(
        io: TokioIo<Io>,
        wire: Arc<WireCounters>,
    ) -> Result<Arc<Self>, hyper::Error> {
        let (executor, spawned) = OneTask::new();
        let (sender, connection) = Builder::new(executor)
            .max_header_list_size(MAX_HEAD)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW * MOST_STREAMS as u32)
            .handshake(io)
            .await?;
        tokio::spawn(drive(connection, spawned));
        Ok(Arc::new(Self { sender, wire, open: AtomicUsize::new(0) }))
    }

    /// A place for one request.
    pub(super) fn stream(self: &Arc<Self>) -> Http2Stream {
        self.open.fetch_add(1, Ordering::AcqRel);
        Http2Stream {
            sender: self.sender.clone(),
            connection: Arc::clone(self),
            sent: Arc::default(),
        }
    }

    pub(super) fn wire(&self) -> Arc<WireCounters> {
        Arc::clone(&self.wire)
    }

    /// Whether it takes another request, and bytes came within `limit`.
    pub(super) fn has_room(&self, limit: Duration) -> bool {
        !self.sender.is_closed()
            && self.open.load(Ordering::Acquire) < MOST_STREAMS
            && self.wire.silence() <= limit
    }

    /// Whether it is used, or may still be.
    pub(super) fn is_of_use(&self, limit: Duration) -> bool {
        !self.sender.is_closed()
            && (self.open.load(Ordering::Acquire) > 0 || self.wire.silence() <= limit)
    }
}

/// One request's place on a connection.
#[derive(Debug)]
pub(super) struct Http2Stream {
    sender: SendRequest<RequestBody>,
    connection: Arc<Http2Connection>,
    /// How many bytes of the body hyper has taken.
    sent: Arc<AtomicU64>,
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        self.connection.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Http2Stream {
    pub(super) fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }

    /// Puts the whole URL in the place of Host, and counts the body's bytes.
    pub(super) fn shape(&self, request: &mut Request<RequestBody>, target: &Target) {
        let path_and_query = std::mem::take(request.uri_mut()).into_parts().path_and_query;
        let path_and_query = path_and_query.map(|path| {
            if written::has_hidden(path.as_str()) {
                written::percent_encoded(path.as_str()).parse().unwrap_or_else(|_| root())
            } else {
                path
            }
        });
        let whole = Uri::builder()
            .scheme(target.scheme.as_str())
            .authority(target.host_field())
            .path_and_query(path_and_query.unwrap_or_else(root));
        // All parts were parsed before.
        *request.uri_mut() = whole.build().unwrap_or_default();
        *request.version_mut() = Version::HTTP_2;
        hop_by_hop::remove_where(request.headers_mut(), |name| {
            // With `Connection` hyper would remove `TE: trailers` too.
            ["host", "transfer-encoding", "connection"].contains(&name)
        });
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = RequestBody::Counted(Box::new(body), Arc::clone(&self.sent));
    }

    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        self.sender.try_send_request(request).await
    }
}

/// Undoes [`Http2Stream::shape`] on a request that was handed back.
pub(super) fn unshape(request: &mut Request<RequestBody>, target: &Target) {
    if request.version() != Version::HTTP_2 {
        return;
    }
    let path_and_query = std::mem::take(request.uri_mut()).into_parts().path_and_query;
    *request.uri_mut() = Uri::from(path_and_query.unwrap_or_else(root));
    *request.version_mut() = Version::HTTP_11;
    hop_by_hop::set_host(request.headers_mut(), target);
    if request.headers().contains_key(TE) {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if let RequestBody::Counted(body, _) = std::mem::take(request.body_mut()) {
        *request.body_mut() = *body;
    }
}

fn root() -> uri::PathAndQuery {
    uri::PathAndQuery::from_static("/")
}

/// How an upstream says that it did not begin with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// `REFUSED_STREAM`, or a GOAWAY.
    NotProcessed,
    /// `HTTP_1_1_REQUIRED` (RFC 9113, 7): the request belongs on an HTTP/1.1 connection.
    NeedsHttp1,
}

/// Whether the upstream says that it did not begin with the request.
pub(super) fn refusal(error: &hyper::Error) -> Option<Refusal> {
    let error = error.source()?.downcast_ref::<h2::Error>()?;
    if !error.is_remote() {
        return None;
    }
    match error.reason() {
        Some(h2::Reason::HTTP_1_1_REQUIRED) => Some(Refusal::NeedsHttp1),
        Some(h2::Reason::REFUSED_STREAM) if error.is_reset() => Some(Refusal::NotProcessed),
        // h2 passes a GOAWAY only to the streams behind the last one that it names. `OneTask` deals
        // with the one exception.
        _ => error.is_go_away().then_some(Refusal::NotProcessed),
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs what hyper spawns for a connection in the connection's own task.
///
/// A request that is handed to h2 while another thread reads a GOAWAY would get that GOAWAY
/// although its stream comes before the last one, so that it may be sent and run. In one task
/// nothing is read in between.
#[derive(Debug, Clone)]
struct OneTask(mpsc::UnboundedSender<Task>);

impl OneTask {
    fn new() -> (Self, mpsc::UnboundedReceiver<Task>) {
        let (sender, spawned) = mpsc::unbounded_channel();
        (Self(sender), spawned)
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for OneTask {
    fn execute(&self, work: F) {
        // Fails if the connection's task is gone, and with it the connection.
        let _ = self.0.send(Box::pin(work));
    }
}

/// Polls the connection and the tasks that it has spawned, until nothing is left.
async fn drive(
    connection: Connection<TokioIo<Io>, RequestBody, OneTask>,
    mut spawned: mpsc::UnboundedReceiver<Task>,
) {
    let mut connection = Some(Box::pin(connection));
    let mut tasks = FuturesUnordered::new();
    std::future::poll_fn(|cx: &mut Context<'_>| {
        if let Some(running) = &mut connection
            && running.as_mut().poll(cx).is_ready()
        {
            // The callers that wait for answers get the error too.
            connection = None;
        }
        loop {
            let ended = loop {
                match spawned.poll_recv(cx) {
                    Poll::Ready(Some(task)) => tasks.push(task),
                    Poll::Ready(None) => break true,
                    Poll::Pending => break false,
                }
            };
            match tasks.poll_next_unpin(cx) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) if ended => return Poll::Ready(()),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}
