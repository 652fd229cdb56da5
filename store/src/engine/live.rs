//! The part of the writer's knowledge that is not on disk: who waits for what, and when leases run out.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use store_core::call::Settled;
use tokio::sync::watch;

/// Who waits for which attempt, and which API leases run.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// By execution and attempt: of one group of jobs some may end an attempt and others wait for the next.
    slots: HashMap<(i64, u32), watch::Sender<Option<Arc<Settled>>>>,
    /// Slots made since the last commit: void if it fails, since row numbers are given again.
    fresh: Vec<(i64, u32)>,
    leases: HashMap<i64, (u32, Instant)>,
    due: BTreeSet<(Instant, i64)>,
}

/// Past so many slots those are dropped that nobody waits at any more: an execution that is never
/// settled would keep its slot for ever.
const MAX_SLOTS: usize = 16_384;

impl Live {
    /// Told once, when the attempt is over.
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

    /// Forgets what the failed transaction made.
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
            // Nobody waits any more: nobody needs to be told.
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

    /// The next lease to run out.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(until, _)| *until)
    }

    /// Takes out a lease that has run out.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<(i64, u32)> {
        let (until, id) = *self.due.first()?;
        if until > now {
            return None;
        }
        self.due.remove(&(until, id));
        self.leases.remove(&id).map(|(attempt, _)| (id, attempt))
    }
}
