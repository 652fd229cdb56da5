//! What a claimer asks for and gets: the types that make wrong orders impossible.

use std::sync::Arc;

pub use store_core::call::*;
use uuid::Uuid;

use crate::decide::brief::Running;
use crate::decide::claim::ClaimAnswer;
use crate::engine::job::WriterHandle;
use crate::engine::live::Live;
use crate::lease::Lease;

/// The store's answer to "may I do this?".
#[derive(Debug)]
pub enum Claim {
    /// Yes: `running` is on disk. Whoever drops the lease unfinished leaves the outcome unknown.
    Execute(Lease),
    /// It took effect before: this is the answer.
    Replay(Arc<Settled>),
    /// Somebody runs it now.
    Busy(Waiter),
    /// It may have taken effect before.
    InDoubt(Doubt),
    /// The explicit key belongs to another input.
    Mismatch {
        /// Who holds the key.
        execution_id: Uuid,
    },
}

impl Claim {
    /// What a claim was answered with, before that is on disk.
    pub(crate) fn of(answer: ClaimAnswer, live: &mut Live) -> Self {
        match answer {
            ClaimAnswer::Execute(granted) => Self::Execute(Lease::new(granted)),
            ClaimAnswer::Replay(settled) => Self::Replay(settled),
            ClaimAnswer::Busy(running) => Self::Busy(Waiter::subscribe(live, running)),
            ClaimAnswer::InDoubt(doubt) => Self::InDoubt(doubt),
            ClaimAnswer::Mismatch { execution_id } => Self::Mismatch { execution_id },
        }
    }

    /// The claim is on disk: its lease counts from now on.
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
    /// What it waits for.
    pub execution_id: Uuid,
    settled: tokio::sync::watch::Receiver<Option<Arc<Settled>>>,
}

impl Waiter {
    /// In the job that found it running, so that no end of it is missed.
    pub(crate) fn subscribe(live: &mut Live, running: Running) -> Self {
        Self {
            execution_id: running.execution_id,
            settled: live.subscribe((running.row, running.attempt)),
        }
    }

    /// The leader's outcome, whatever it is; `None` when the engine stops first.
    ///
    /// Cancel-safe: a waiter that goes away changes nothing.
    pub async fn settled(mut self) -> Option<Arc<Settled>> {
        self.settled.wait_for(Option::is_some).await.ok()?.clone()
    }
}
