//! Waiters and API leases, which are not on disk.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use store_core::call::Settled;
use tokio::sync::watch;

/// The waiters of running attempts, and the expiry of API leases.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// By execution and attempt, since one group of jobs may end an attempt and wait for the next one.
    slots: HashMap<(i64, u32), watch::Sender<Option<Arc<Settled>>>>,
    /// Slots created since the last commit. Removed if it fails, since row numbers are reused.
    fresh: Vec<(i64, u32)>,
    leases: HashMap<i64, (u32, Instant)>,
    due: BTreeSet<(Instant, i64)>,
}

/// Above this number, slots without waiters are dropped: an execution that is never settled would keep its
/// slot forever.
const MAX_SLOTS: usize = 16_384;

impl Live {
    /// A receiver that gets the outcome of the attempt.
    pub(crate) fn subscribe(&mut self, id: (i64, u32)) -> watch::Receiver<Option<Arc<Settled>>> {
        if let Some(slot) = self.slots.get(&id) {
            return slot.subscribe();
        }
        if self.slots.len() >= MAX_SLOTS {
            self.slots.retain(|_, slot| slot.receiver_count() > 0);
        }
        let (slot, receiver) = watch::channel(None);
        self.slots.insert(id, slot);
        self.fresh.push(id);
        receiver
    }

    /// Removes what a failed transaction created.
    pub(crate) fn undo(&mut self) {
        for id in self.fresh.drain(..) {
            self.slots.remove(&id);
        }
    }

    pub(crate) fn committed(&mut self) {
        self.fresh.clear();
    }

    pub(crate) fn settle(&mut self, id: i64, settled: Arc<Settled>) {
        if let Some(slot) = self.slots.remove(&(id, settled.attempt)) {
            // An error means that nobody waits any more.
            let _ = slot.send(Some(settled));
        }
    }

    pub(crate) fn lease(&mut self, id: i64, attempt: u32, ttl: Duration) {
        self.unlease(id);
        let until = Instant::now() + ttl;
        self.leases.insert(id, (attempt, until));
        self.due.insert((until, id));
    }

    pub(crate) fn unlease(&mut self, id: i64) {
        if let Some((_, until)) = self.leases.remove(&id) {
            self.due.remove(&(until, id));
        }
    }

    /// How long the lease of an execution lasts from now on. `None`: it has none.
    pub(crate) fn lease_left(&self, id: i64) -> Option<Duration> {
        let (_, until) = self.leases.get(&id)?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    /// When the next lease expires.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(until, _)| *until)
    }

    /// Removes up to `at_most` leases that have expired: their executions and attempts.
    pub(crate) fn expired(&mut self, now: Instant, at_most: usize) -> Vec<(i64, u32)> {
        let due: Vec<_> =
            self.due.iter().take_while(|(until, _)| *until <= now).take(at_most).copied().collect();
        let remove = |(until, id)| {
            self.due.remove(&(until, id));
            self.leases.remove(&id).map(|(attempt, _)| (id, attempt))
        };
        due.into_iter().filter_map(remove).collect()
    }
}
