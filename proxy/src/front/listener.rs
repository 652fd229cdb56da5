//! Accepting connections, and the orderly end.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, interval, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::context::ProxyContext;
use crate::front::connection::{self, Protocol};

/// How long to wait after a connection could not be accepted (no file descriptors left).
const BREATH: Duration = Duration::from_millis(50);

/// How often idle connections to upstreams are looked through.
const SWEEP: Duration = Duration::from_secs(20);

/// Serves until `shutdown`, then lets what runs come to its end, for as long as the config says.
pub(crate) async fn serve(
    context: Arc<ProxyContext>,
    listener: TcpListener,
    shutdown: CancellationToken,
) {
    let sweeping = sweep(&context);
    tokio::select! {
        () = accept(&context, &listener) => {}
        () = sweeping => {}
        () = shutdown.cancelled() => {}
    }
    drop(listener);
    drain(&context).await;
}

async fn accept(context: &Arc<ProxyContext>, listener: &TcpListener) {
    let slots = Arc::new(Semaphore::new(context.config.max_connections));
    // It is never closed.
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let stream = next(listener).await;
        let _ = stream.set_nodelay(true);
        let serving = connection::serve(
            Arc::clone(context),
            stream,
            None,
            Protocol::Http1,
            slot.into(),
            reset,
        );
        context.connections.spawn(serving);
    }
}

/// Closes a connection so that its client sees that something is missing.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}

async fn next(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(BREATH).await;
            }
        }
    }
}

async fn sweep(context: &ProxyContext) {
    let mut ticks = interval(SWEEP);
    loop {
        ticks.tick().await;
        context.pool.sweep();
    }
}

/// Connections end with their request; calls come to their end, clients or not; tunnels, which have
/// none of their own, are closed last.
async fn drain(context: &ProxyContext) {
    context.drain();
    let deadline = Instant::now() + context.config.timeouts.drain;
    for tracker in [&context.connections, &context.exchanges] {
        tracker.close();
        if timeout_at(deadline, tracker.wait()).await.is_err() {
            tracing::warn!(left = tracker.len(), "stopping with work under way");
        }
    }
    context.close();
    context.tunnels.close();
    let _ = timeout_at(Instant::now() + BREATH, context.tunnels.wait()).await;
}
