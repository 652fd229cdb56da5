//! One client's connection: HTTP/1.1 or, in an intercepted tunnel, HTTP/2; its limits, its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy_core::error::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::body::stream::Body;
use crate::config::Observation;
use crate::context::{Phase, ProxyContext};
use crate::front::idle_timeout::{Limits, Watched};
use crate::front::link::{Inside, Link, Slot};
use crate::front::turn::Turn;
use crate::steps;
use crate::steps::reply::Reply;
use crate::steps::respond::problem;

/// The most header fields of a request; more get hyper's own 431.
const MAX_HEADERS: usize = 256;

/// The same for HTTP/2, in bytes; how many requests a client may have under way on a connection.
const MAX_HEAD: u32 = 256 * 1024;
const MAX_STREAMS: u32 = 256;

/// What was agreed upon to be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Serves one connection until it ends, or, when the server drains, to the end of its request.
///
/// `cut` closes it where an answer broke off whose end would be that of the connection (HTTP/1.0): a
/// proper close would make it a whole one (RFC 9112, 8). TLS without its `close_notify` says so itself; a
/// clear tunnel has no means to.
pub(crate) fn serve<I>(
    context: Arc<ProxyContext>,
    io: I,
    inside: Option<Arc<Inside>>,
    protocol: Protocol,
    slot: Slot,
    cut: fn(I),
) -> Pin<Box<dyn Future<Output = ()> + Send>>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let turn = Arc::new(match protocol {
        Protocol::Http1 => Turn::default(),
        Protocol::Http2 => Turn::multiplexed(),
    });
    let timeouts = &context.config.timeouts;
    let limits =
        Limits { idle: timeouts.idle, head: timeouts.request_head, taking: timeouts.body_idle };
    let io = Watched::new(io, Arc::clone(&turn), limits);
    let link = Arc::new(Link { turn: Arc::clone(&turn), inside, slot });
    let state = Arc::clone(&context);
    let service = service_fn(move |request: Request<Incoming>| {
        let (context, link) = (Arc::clone(&state), Arc::clone(&link));
        async move { Ok::<_, std::convert::Infallible>(answer(context, link, request).await) }
    });
    let io = TokioIo::new(io);
    // Chosen by what was agreed: a builder that waits for the first bytes never gives a silent
    // client up.
    match protocol {
        Protocol::Http1 => {
            let mut builder = http1::Builder::new();
            builder
                .half_close(true)
                .max_headers(MAX_HEADERS)
                .preserve_header_case(true)
                .title_case_headers(true)
                .auto_date_header(false);
            let mut connection = builder.serve_connection(io, service).with_upgrades();
            Box::pin(async move {
                let wind_down = UpgradeableConnection::graceful_shutdown;
                let clean = to_its_end(context, &turn, Pin::new(&mut connection), wind_down).await;
                if !clean
                    && turn.ends_by_close()
                    && let Some(parts) = connection.into_parts()
                {
                    cut(parts.io.into_inner().into_inner());
                }
            })
        }
        Protocol::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .max_header_list_size(MAX_HEAD)
                .max_concurrent_streams(MAX_STREAMS)
                .auto_date_header(false);
            let mut connection = builder.serve_connection(io, service);
            Box::pin(async move {
                let wind_down = http2::Connection::graceful_shutdown;
                to_its_end(context, &turn, Pin::new(&mut connection), wind_down).await;
            })
        }
    }
}

/// Whether it was an end in good order.
async fn to_its_end<C>(
    context: Arc<ProxyContext>,
    turn: &Turn,
    mut connection: Pin<&mut C>,
    wind_down: fn(Pin<&mut C>),
) -> bool
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut draining = pin!(context.draining.cancelled());
    let mut closing = pin!(context.closing.cancelled());
    let (mut registered, mut told) = (false, false);
    let clean = std::future::poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(ended.is_ok());
        }
        // Registered once: polling them each time would make all connections share a lock.
        if !registered {
            registered = true;
            let _ = (draining.as_mut().poll(cx), closing.as_mut().poll(cx));
        }
        match context.phase() {
            Phase::Serving => {}
            Phase::Draining if told => {}
            Phase::Draining => {
                told = true;
                wind_down(connection.as_mut());
                return connection.as_mut().poll(cx).map(|ended| ended.is_ok());
            }
            Phase::Closing => return Poll::Ready(false),
        }
        Poll::Pending
    })
    .await;
    // Of a client elsewhere the network may still hold what it never took.
    if clean
        && context.config.proxy_addresses.iter().all(|own| own.ip().to_canonical().is_loopback())
        && let Some(owed) = turn.closed()
    {
        context.config.store.delivered(owed.delivery().clone());
    }
    clean
}

/// Answers one request, whatever happens on the way.
async fn answer(
    context: Arc<ProxyContext>,
    link: Arc<Link>,
    request: Request<Incoming>,
) -> Response<Body> {
    let started = Instant::now();
    if let Some(owed) = link.turn.arrived() {
        context.config.store.delivered(owed.delivery().clone());
    }
    if request.version() == Version::HTTP_10 {
        link.turn.end_by_close();
    }
    let turn = link.turn.begin();
    let has_body = !request.body().is_end_stream();
    let handling = steps::handle(Arc::clone(&context), Arc::clone(&link), request);
    let reply = match (Caught(Box::pin(handling))).await {
        Some(reply) => reply,
        None => problem::problem(&context, &Error::Internal, None),
    };
    let Reply { response, decision, upstream } = reply;
    if has_body && response.status().as_u16() >= 400 {
        link.turn.leave_unread();
    }
    tracing::debug!(decision, status = response.status().as_u16(), "answered");
    (context.config.observer)(&Observation { decision, duration: started.elapsed(), upstream });
    response.map(|body| body.during(turn))
}

/// A future whose panic is `None`: it ends one request and not the process.
struct Caught<F>(Pin<Box<F>>);

impl<F: Future> Future for Caught<F> {
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
        let calm = Caught(Box::pin(async { 1 }));
        assert_eq!(calm.await, Some(1));
        assert_eq!(Caught(Box::pin(panics())).await, None);
    }
}
