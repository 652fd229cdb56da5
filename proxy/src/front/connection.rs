//! One client's connection: HTTP/1.1 or, in an intercepted tunnel, HTTP/2. Its limits and its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy_core::error::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;

use super::delivery::Proof;
use super::dispatch;
use super::head_io::HeadIo;
use super::idle_timeout::{ClientTimeouts, IdleTimeout};
use super::link::{ClientLink, ConnectionSlot, Tunnel};
use super::peer::Peer;
use super::turn::Turn;
use crate::body::reply::ReplyBody;
use crate::config::Observation;
use crate::context::ProxyContext;
use crate::lifecycle::Phase;
use crate::steps::reply::Reply;
use crate::steps::respond::problem;

/// The most header fields of a request. With more, hyper answers 431.
const MAX_HEADERS: usize = 256;
/// The largest head of an HTTP/2 request, in bytes.
const MAX_HEAD: u32 = 256 * 1024;
/// How many requests a client may have under way on an HTTP/2 connection.
const MAX_STREAMS: u32 = 256;

/// How much of a request, and of an answer, HTTP/2 keeps that the other side does not take, in bytes.
const STREAM_BUFFER: u32 = 64 * 1024;

/// How long it takes until a client that has closed its connection has reset it: what is written to
/// it is not wanted any more.
const RESET_DELAY: Duration = Duration::from_millis(50);

/// The protocol that both sides agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// The client of a connection.
pub(crate) struct Client<I> {
    /// The tunnel that the connection is inside of.
    pub(crate) tunnel: Option<Arc<Tunnel>>,
    pub(crate) protocol: Protocol,
    pub(crate) slot: Arc<ConnectionSlot>,
    /// Closes the connection if an answer broke off that ends with the connection (HTTP/1.0): a
    /// proper close would make it look whole (RFC 9112, 8). Inside TLS a missing `close_notify`
    /// says so. A clear tunnel has no means to say it.
    pub(crate) abort: fn(I),
}

/// Serves one connection until it ends or, while the proxy drains, to the end of its request.
pub(crate) fn serve<I>(
    context: Arc<ProxyContext>,
    io: I,
    client: Client<I>,
) -> Pin<Box<dyn Future<Output = ()> + Send>>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Client { tunnel, protocol, slot, abort } = client;
    let turn = Arc::new(match protocol {
        Protocol::Http1 => Turn::default(),
        Protocol::Http2 => Turn::multiplexed(),
    });
    let peer = slot.peer.clone();
    let io = IdleTimeout::new(io, Arc::clone(&turn), ClientTimeouts::of(&context.timeouts));
    let private = Arc::default();
    let link = Arc::new(ClientLink { turn: Arc::clone(&turn), tunnel, slot, private });
    let for_requests = Arc::clone(&context);
    let service = service_fn(move |request: Request<Incoming>| {
        let (context, link) = (Arc::clone(&for_requests), Arc::clone(&link));
        async move { Ok::<_, std::convert::Infallible>(answer(context, link, request).await) }
    });
    // Chosen by what was agreed: a builder that waits for the first bytes never gives up on a
    // silent client.
    match protocol {
        Protocol::Http1 => {
            let mut builder = http1::Builder::new();
            builder
                .half_close(true)
                .max_headers(MAX_HEADERS)
                .preserve_header_case(true)
                .title_case_headers(true)
                .auto_date_header(false);
            let io = HeadIo::new(io, Arc::clone(&turn), Arc::clone(&context));
            let mut connection =
                builder.serve_connection(TokioIo::new(io), service).with_upgrades();
            Box::pin(async move {
                let wind_down = UpgradeableConnection::graceful_shutdown;
                let end = run(&context, &turn, &peer, Pin::new(&mut connection), wind_down).await;
                if end == End::Broken
                    && turn.ends_by_close()
                    && let Some(parts) = connection.into_parts()
                {
                    abort(parts.io.into_inner().into_inner().into_inner());
                }
            })
        }
        Protocol::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .max_header_list_size(MAX_HEAD)
                .max_concurrent_streams(MAX_STREAMS)
                .initial_stream_window_size(STREAM_BUFFER)
                .max_send_buf_size(STREAM_BUFFER as usize)
                .auto_date_header(false);
            let mut connection = builder.serve_connection(TokioIo::new(io), service);
            Box::pin(async move {
                let wind_down = http2::Connection::graceful_shutdown;
                run(&context, &turn, &peer, Pin::new(&mut connection), wind_down).await;
            })
        }
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Proper,
    Broken,
}

impl From<hyper::Result<()>> for End {
    fn from(ended: hyper::Result<()>) -> Self {
        if ended.is_ok() { Self::Proper } else { Self::Broken }
    }
}

/// Runs a connection to its end. `wind_down` makes it end with its request.
async fn run<C>(
    context: &ProxyContext,
    turn: &Turn,
    peer: &Peer,
    mut connection: Pin<&mut C>,
    wind_down: fn(Pin<&mut C>),
) -> End
where
    C: Future<Output = hyper::Result<()>>,
{
    let lifecycle = &context.lifecycle;
    let mut draining = pin!(lifecycle.draining.cancelled());
    let mut closing = pin!(lifecycle.closing.cancelled());
    let (mut registered, mut winding_down) = (false, false);
    let end = std::future::poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(ended.into());
        }
        // Registered once: if each poll did, all connections would share a lock.
        if !registered {
            registered = true;
            let _ = (draining.as_mut().poll(cx), closing.as_mut().poll(cx));
        }
        match lifecycle.phase() {
            Phase::Running => {}
            Phase::Draining if winding_down => {}
            Phase::Draining => {
                winding_down = true;
                wind_down(connection.as_mut());
                return connection.as_mut().poll(cx).map(End::from);
            }
            Phase::Closing => return Poll::Ready(End::Broken),
        }
        Poll::Pending
    })
    .await;
    // To a client on another machine the network may still hold what the client never got.
    if end == End::Proper && turn.is_half_closed() {
        sleep(RESET_DELAY).await;
        turn.ended_half_closed(peer.is_reset());
        return end;
    }
    let own = &context.own.addresses.proxy;
    let is_local = || own.iter().all(|own| own.ip().to_canonical().is_loopback());
    let proof = || if is_local() { Proof::Certain } else { Proof::Likely };
    turn.ended((end == End::Proper).then(proof));
    end
}

/// Answers one request, whatever happens on the way.
async fn answer(
    context: Arc<ProxyContext>,
    link: Arc<ClientLink>,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let started = Instant::now();
    link.turn.next_request();
    if request.version() == Version::HTTP_10 {
        link.turn.end_by_close();
    }
    let turn = link.turn.begin();
    let has_body = !request.body().is_end_stream();
    let handling = dispatch::handle(Arc::clone(&context), Arc::clone(&link), request);
    let reply = match (CatchPanic(Box::pin(handling))).await {
        Some(reply) => reply,
        None => problem::problem(&context, &Error::Internal, None),
    };
    let Reply { response, outcome, upstream, delivery } = reply;
    // On a connection with many requests at once the body knows whether the client takes all of it.
    let carried = if link.turn.is_multiplexed() {
        delivery
    } else {
        if let Some(delivery) = delivery {
            link.turn.expect(delivery);
        }
        None
    };
    let status = response.status().as_u16();
    if has_body && status >= 400 {
        link.turn.leave_unread();
    }
    tracing::debug!(decision = outcome.as_str(), status, "answered");
    (context.observer)(&Observation { outcome, duration: started.elapsed(), upstream });
    response.map(|body| body.during(turn, carried))
}

/// A future whose panic becomes `None`: it ends one request and not the process.
struct CatchPanic<F>(Pin<Box<F>>);

impl<F: Future> Future for CatchPanic<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn panics() -> u8 {
        tokio::task::yield_now().await;
        panic!("on purpose")
    }

    #[tokio::test]
    async fn a_panic_ends_a_request_and_nothing_else() {
        let calm = CatchPanic(Box::pin(async { 1 }));
        assert_eq!(calm.await, Some(1));
        assert_eq!(CatchPanic(Box::pin(panics())).await, None);
    }
}
