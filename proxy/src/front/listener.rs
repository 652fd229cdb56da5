//! Accepting connections, and the orderly end.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, interval, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::serving::{self, Protocol};

/// How long to wait after a connection could not be accepted (no file descriptors left).
const BREATH: Duration = Duration::from_millis(50);

/// How often idle connections to upstreams are looked through.
const SWEEP: Duration = Duration::from_secs(20);

/// Serves until `shutdown`, then lets what runs come to its end, for as long as the config says.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener, shutdown: CancellationToken) {
    let sweeping = sweep(&shared);
    tokio::select! {
        () = accept(&shared, &listener) => {}
        () = sweeping => {}
        () = shutdown.cancelled() => {}
    }
    drop(listener);
    drain(&shared).await;
}

/// One of the places for clients' connections.
pub(crate) type Slot = Arc<OwnedSemaphorePermit>;

async fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    let slots = Arc::new(Semaphore::new(shared.config.max_connections));
    // It is never closed.
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let stream = next(listener).await;
        let _ = stream.set_nodelay(true);
        let serving =
            serving::serve(Arc::clone(shared), stream, None, Protocol::Http1, slot.into(), reset);
        shared.connections.spawn(serving);
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

async fn sweep(shared: &Shared) {
    let mut ticks = interval(SWEEP);
    loop {
        ticks.tick().await;
        shared.pool.sweep();
    }
}

/// Connections end with their request; calls come to their end, clients or not; tunnels, which have
/// none of their own, are closed last.
async fn drain(shared: &Shared) {
    shared.drain();
    let deadline = Instant::now() + shared.config.timeouts.drain;
    for tracker in [&shared.connections, &shared.exchanges] {
        tracker.close();
        if timeout_at(deadline, tracker.wait()).await.is_err() {
            tracing::warn!(left = tracker.len(), "stopping with work under way");
        }
    }
    shared.close();
    shared.tunnels.close();
    let _ = timeout_at(Instant::now() + BREATH, shared.tunnels.wait()).await;
}
