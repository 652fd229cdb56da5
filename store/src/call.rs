//! Claims and their answers: types that rule out a wrong order of calls.

use std::sync::Arc;

pub use store_core::call::*;
use store_core::model::Timestamp;
use uuid::Uuid;

use crate::decide::brief::Running;
use crate::decide::claim::ClaimAnswer;
use crate::engine::job::WriterHandle;
use crate::engine::live::Live;
use crate::lease::Lease;

/// The answer to a claim.
#[derive(Debug)]
pub enum Claim {
    /// The call may run: `running` is on disk. Dropping the lease unfinished records an unknown outcome.
    Execute(Lease),
    /// The call took effect before; this is its outcome.
    Replay(Arc<Settled>),
    /// An equal call of the session took effect before, under another key, and its answer did not arrive: this
    /// is that answer. The call's key names that execution from now on.
    Undelivered(Arc<Settled>),
    /// The call is running now.
    Busy(Waiter),
    /// The call may have taken effect before.
    InDoubt(Doubt),
    /// The explicit key belongs to a different input.
    Mismatch {
        /// The execution that holds the key.
        execution_id: Uuid,
    },
}

impl Claim {
    /// The answer of a claim whose commit is not on disk yet.
    pub(crate) fn of(answer: ClaimAnswer, live: &mut Live) -> Self {
        match answer {
            ClaimAnswer::Execute(granted) => Self::Execute(Lease::new(granted)),
            ClaimAnswer::Replay(settled) => Self::Replay(settled),
            ClaimAnswer::Undelivered(settled) => Self::Undelivered(settled),
            ClaimAnswer::Busy(running) => Self::Busy(Waiter::subscribe(live, running)),
            ClaimAnswer::InDoubt(doubt) => Self::InDoubt(doubt),
            ClaimAnswer::Mismatch { execution_id } => Self::Mismatch { execution_id },
        }
    }

    /// The claim is on disk: its lease is valid from now on.
    pub(crate) fn granted(self, writer: WriterHandle) -> Self {
        match self {
            Self::Execute(lease) => Self::Execute(lease.granted(writer)),
            other => other,
        }
    }
}

/// Waits for a running call.
#[derive(Debug)]
pub struct Waiter {
    /// The execution that it waits for.
    pub execution_id: Uuid,
    /// When the attempt that it waits for began.
    pub started_at: Option<Timestamp>,
    settled: tokio::sync::watch::Receiver<Option<Arc<Settled>>>,
}

impl Waiter {
    /// To be called in the job that found the attempt running, so that its end is not missed.
    pub(crate) fn subscribe(live: &mut Live, running: Running) -> Self {
        Self {
            execution_id: running.execution_id,
            started_at: running.started_at,
            settled: live.subscribe((running.row, running.attempt)),
        }
    }

    /// The outcome of the running attempt; `None` if the engine stops first.
    ///
    /// Cancel-safe: dropping the future changes nothing.
    pub async fn settled(mut self) -> Option<Arc<Settled>> {
        self.settled.wait_for(Option::is_some).await.ok()?.clone()
    }
}
