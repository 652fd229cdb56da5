//! Where a proxy is in its life, and the work that a shutdown waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where a proxy is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// Connections end with their request.
    Draining,
    /// Connections end now.
    Closing,
}

/// The phase of a proxy, and its work.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    phase: AtomicU8,
    /// Cancelled when the proxy begins to drain.
    pub(crate) draining: CancellationToken,
    /// Cancelled when the proxy closes.
    pub(crate) closing: CancellationToken,
    /// One permit for each client connection that may be open.
    pub(crate) slots: Arc<Semaphore>,
    /// Client connections, also those inside tunnels.
    pub(crate) connections: TaskTracker,
    /// Claimed calls.
    pub(crate) calls: TaskTracker,
    /// Connections that carry something else than HTTP.
    pub(crate) tunnels: TaskTracker,
}

impl Lifecycle {
    pub(crate) fn new(max_connections: usize) -> Self {
        Self {
            phase: AtomicU8::new(0),
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
            slots: Arc::new(Semaphore::new(max_connections)),
            connections: TaskTracker::new(),
            calls: TaskTracker::new(),
            tunnels: TaskTracker::new(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Draining,
            _ => Phase::Closing,
        }
    }

    pub(crate) fn drain(&self) {
        self.phase.store(1, Ordering::Release);
        self.draining.cancel();
    }

    pub(crate) fn close(&self) {
        self.phase.store(2, Ordering::Release);
        self.closing.cancel();
    }
}
