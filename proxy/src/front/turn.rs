//! Whose turn it is on a client's connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::delivery::{PendingDelivery, Proof};

/// Between two requests.
pub(super) const IDLE: u8 = 0;
/// Some bytes of a request's head have come.
pub(super) const HEAD: u8 = 1;
/// A request is being answered. Its body has its own limits.
pub(super) const EXCHANGE: u8 = 2;
/// The connection no longer carries HTTP.
pub(super) const UPGRADED: u8 = 3;

/// Whose turn it is on one connection.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    whose: AtomicU8,
    pub(super) unread: AtomicBool,
    /// How many requests run, on a connection with many requests at once.
    pub(super) running: Option<AtomicUsize>,
    /// How many requests have begun.
    pub(super) begun: AtomicUsize,
    /// The client has closed its side after its last answer was written.
    pub(super) closed: AtomicBool,
    /// A read has failed.
    pub(super) broken: AtomicBool,
    /// The client may recognise the end of an answer only by that of the connection (HTTP/1.0).
    by_close: AtomicBool,
    /// Since when each answer waits for its client, on a connection with many requests at once.
    untaken: Mutex<HashMap<usize, Instant>>,
    /// The answers that were given, and of which it matters whether they arrive.
    pending: Mutex<Vec<PendingDelivery>>,
}

impl Turn {
    /// The turn on a connection that carries many requests at once (HTTP/2).
    pub(crate) fn multiplexed() -> Self {
        Self { running: Some(AtomicUsize::new(0)), ..Self::default() }
    }

    /// A request's head is complete. The exchange ends when the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> TurnGuard {
        let number = self.begun.fetch_add(1, Ordering::AcqRel);
        if let Some(running) = &self.running {
            running.fetch_add(1, Ordering::AcqRel);
        } else {
            self.whose.store(EXCHANGE, Ordering::Release);
            self.unread.store(false, Ordering::Release);
        }
        TurnGuard { turn: Arc::clone(self), number }
    }

    /// Since when an answer has waited for its client, on a connection with many requests at once:
    /// there a client may take one answer and leave another.
    pub(super) fn untaken_since(&self) -> Option<Instant> {
        self.running.as_ref()?;
        self.lock_untaken().values().min().copied()
    }

    fn lock_untaken(&self) -> MutexGuard<'_, HashMap<usize, Instant>> {
        self.untaken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn whose(&self) -> u8 {
        match &self.running {
            Some(running) if running.load(Ordering::Acquire) == 0 => IDLE,
            Some(_) => EXCHANGE,
            None => self.whose.load(Ordering::Acquire),
        }
    }

    pub(crate) fn is_multiplexed(&self) -> bool {
        self.running.is_some()
    }

    /// Watches whether an answer arrives that is about to be given. On a connection with many
    /// requests at once: that was handed over whole. If the client is there then, it reads it.
    pub(crate) fn expect(&self, delivery: PendingDelivery) {
        if self.is_multiplexed() && !delivery.is_awaited() {
            return;
        }
        delivery.give();
        let mut pending = self.lock_pending();
        pending.retain(PendingDelivery::matters);
        pending.push(delivery);
    }

    /// A request's head is complete: the answers before it have arrived if the client began to send
    /// only after they were written. Called before [`Self::begin`]. With many requests at once none
    /// of them says anything about another's answer.
    pub(crate) fn next_request(&self) {
        if self.running.is_none() && self.whose.load(Ordering::Acquire) == HEAD {
            self.take_pending().into_iter().for_each(|answer| answer.arrived(Proof::Certain));
        }
    }

    /// The connection has ended. Its answers have arrived if it ended properly, and the client closed
    /// its side no sooner than they were written. With many requests at once they have: the client
    /// was there when they were given. `proof`: what a proper close proves, if it was one.
    pub(crate) fn ended(&self, proof: Option<Proof>) {
        let proof = if self.is_multiplexed() {
            Some(Proof::Likely)
        } else {
            proof.filter(|_| self.closed.load(Ordering::Acquire))
        };
        let answers = self.take_pending();
        if let Some(proof) = proof {
            for answer in answers {
                answer.arrived(proof);
            }
        }
    }

    /// The connection has ended properly, and the client had closed its side before it was answered:
    /// it has closed the whole connection, or reads on. `is_reset` says which, a moment later.
    pub(super) fn ended_half_closed(&self, is_reset: bool) {
        let answers = self.take_pending();
        if !is_reset && !self.broken.load(Ordering::Acquire) {
            for answer in answers {
                answer.arrived(Proof::Likely);
            }
        }
    }

    /// Whether the client closed its side before its last answer was written.
    pub(super) fn is_half_closed(&self) -> bool {
        !self.is_multiplexed() && !self.closed.load(Ordering::Acquire) && self.expects_delivery()
    }

    fn take_pending(&self) -> Vec<PendingDelivery> {
        std::mem::take(&mut *self.lock_pending())
    }

    fn lock_pending(&self) -> MutexGuard<'_, Vec<PendingDelivery>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn expects_delivery(&self) -> bool {
        self.lock_pending().iter().any(PendingDelivery::matters)
    }

    /// The client may take the end of the connection for the end of an answer.
    pub(crate) fn end_by_close(&self) {
        self.by_close.store(true, Ordering::Release);
    }

    pub(crate) fn ends_by_close(&self) -> bool {
        self.by_close.load(Ordering::Acquire)
    }

    /// From here on the connection carries something else, without timeouts.
    pub(crate) fn upgrade(&self) {
        self.whose.store(UPGRADED, Ordering::Release);
    }

    /// The request was answered, and its body may not have been read. A connection that many
    /// requests share does not end with one of them.
    pub(crate) fn leave_unread(&self) {
        self.unread.store(self.running.is_none(), Ordering::Release);
    }

    pub(super) fn change(&self, from: u8, to: u8) {
        let _ = self.whose.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Lives as long as the answer's body.
#[derive(Debug)]
pub(crate) struct TurnGuard {
    turn: Arc<Turn>,
    number: usize,
}

impl TurnGuard {
    /// [`Turn::expect`].
    pub(crate) fn expect(&self, delivery: PendingDelivery) {
        self.turn.expect(delivery);
    }

    /// A part of the answer is there for the client to take, or the client has taken it.
    pub(crate) fn note_untaken(&self, untaken: bool) {
        if self.turn.running.is_none() {
            return;
        }
        if untaken {
            self.turn.lock_untaken().insert(self.number, Instant::now());
        } else {
            self.turn.lock_untaken().remove(&self.number);
        }
    }
}

impl Drop for TurnGuard {
    fn drop(&mut self) {
        self.note_untaken(false);
        match &self.turn.running {
            Some(running) => {
                running.fetch_sub(1, Ordering::AcqRel);
            }
            None => self.turn.change(EXCHANGE, IDLE),
        }
    }
}
