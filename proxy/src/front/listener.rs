//! Accepts connections, and drains them at shutdown.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, interval, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::connection::{self, Protocol};
use super::link::ConnectionSlot;
use super::peer::ClientStream;
use crate::context::ProxyContext;
use crate::quick_ack::QuickAck;

/// How long to wait after a connection could not be accepted (no file descriptors left).
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// How long tunnels get to end when the proxy closes.
const CLOSE_DELAY: Duration = Duration::from_millis(50);

/// How often the pool drops connections that were idle for too long.
const SWEEP: Duration = Duration::from_secs(20);

/// Serves until `shutdown`, then drains.
pub(crate) async fn serve(
    context: Arc<ProxyContext>,
    listener: TcpListener,
    shutdown: CancellationToken,
) {
    tokio::select! {
        () = accept(&context, &listener) => {}
        () = sweep(&context) => {}
        () = sweep_deliveries(&context) => {}
        () = shutdown.cancelled() => {}
    }
    drop(listener);
    drain(&context).await;
}

async fn accept(context: &Arc<ProxyContext>, listener: &TcpListener) {
    // The semaphore is never closed.
    while let Ok(slot) = Arc::clone(&context.lifecycle.slots).acquire_owned().await {
        let stream = next(listener).await;
        let _ = stream.set_nodelay(true);
        let stream = ClientStream::new(stream);
        let client = connection::Client {
            tunnel: None,
            protocol: Protocol::Http1,
            slot: Arc::new(ConnectionSlot { peer: stream.peer(), _permit: slot }),
            abort: reset,
        };
        let connection = connection::serve(Arc::clone(context), QuickAck::new(stream), client);
        context.lifecycle.connections.spawn(connection);
    }
}

/// Closes a connection so that its client sees that something is missing.
fn reset(stream: QuickAck<ClientStream>) {
    stream.into_inner().reset();
}

async fn next(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(RETRY_DELAY).await;
            }
        }
    }
}

async fn sweep(context: &ProxyContext) {
    let mut ticks = interval(SWEEP);
    loop {
        ticks.tick().await;
        context.upstreams.pool.sweep();
    }
}

async fn sweep_deliveries(context: &ProxyContext) {
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        context.calls.deliveries.sweep(&context.store);
    }
}

/// Connections end with their request. Calls run to their end, whether their clients wait or not.
/// Tunnels, which do not end by themselves, are closed last.
async fn drain(context: &ProxyContext) {
    let lifecycle = &context.lifecycle;
    lifecycle.drain();
    let deadline = Instant::now() + context.timeouts.drain;
    for tracker in [&lifecycle.connections, &lifecycle.calls] {
        tracker.close();
        if timeout_at(deadline, tracker.wait()).await.is_err() {
            tracing::warn!(left = tracker.len(), "stopping while connections are still open");
        }
    }
    lifecycle.close();
    lifecycle.tunnels.close();
    let _ = timeout_at(Instant::now() + CLOSE_DELAY, lifecycle.tunnels.wait()).await;
}
