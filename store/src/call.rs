//! What a claimer asks for and gets: the types that make wrong orders impossible.

use std::sync::Arc;

pub use store_core::call::*;
use uuid::Uuid;

use crate::engine::job::WriterHandle;
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
    pub(crate) settled: tokio::sync::watch::Receiver<Option<Arc<Settled>>>,
}

impl Waiter {
    /// The leader's outcome, whatever it is; `None` when the engine stops first.
    ///
    /// Cancel-safe: a waiter that goes away changes nothing.
    pub async fn settled(mut self) -> Option<Arc<Settled>> {
        self.settled.wait_for(Option::is_some).await.ok()?.clone()
    }
}
