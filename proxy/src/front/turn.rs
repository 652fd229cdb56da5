//! Whose turn it is on a client's connection.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::front::delivery::Owed;

/// Between two requests.
pub(super) const IDLE: u8 = 0;
/// Some bytes of a request's head have come.
pub(super) const HEAD: u8 = 1;
/// A request is being answered; its body has limits of its own.
pub(super) const EXCHANGE: u8 = 2;
/// No HTTP any more.
pub(super) const UPGRADED: u8 = 3;

/// Whose turn it is on one connection.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    whose: AtomicU8,
    pub(super) unread: AtomicBool,
    /// Of a connection with many requests at once: how many of them run.
    pub(super) running: Option<AtomicUsize>,
    /// How many have begun.
    pub(super) begun: AtomicUsize,
    /// The client has closed its side after its last answer was written.
    pub(super) closed: AtomicBool,
    /// Its client may know the end of an answer by that of the connection alone (HTTP/1.0).
    by_close: AtomicBool,
    /// The answer that was given last, where it matters whether it arrived.
    owed: Mutex<Option<Owed>>,
}

impl Turn {
    /// On a connection that carries many requests at once (HTTP/2).
    pub(crate) fn multiplexed() -> Self {
        Self { running: Some(AtomicUsize::new(0)), ..Self::default() }
    }

    /// A request's head is complete. The turn ends when the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> TurnGuard {
        self.begun.fetch_add(1, Ordering::AcqRel);
        if let Some(running) = &self.running {
            running.fetch_add(1, Ordering::AcqRel);
        } else {
            self.whose.store(EXCHANGE, Ordering::Release);
            self.unread.store(false, Ordering::Release);
        }
        TurnGuard(Arc::clone(self))
    }

    pub(super) fn whose(&self) -> u8 {
        match &self.running {
            Some(running) if running.load(Ordering::Acquire) == 0 => IDLE,
            Some(_) => EXCHANGE,
            None => self.whose.load(Ordering::Acquire),
        }
    }

    /// It matters whether the answer that is about to be given arrives.
    pub(crate) fn owe(&self, owed: Owed) {
        // With many requests at once none of them tells of another's answer.
        if self.running.is_none() {
            *self.lock_owed() = Some(owed);
        }
    }

    /// A request's head is complete: the answer before it has arrived, if the client began to speak
    /// only after that was written. To be called before [`Self::begin`].
    pub(crate) fn arrived(&self) -> Option<Owed> {
        let owed = self.lock_owed().take();
        owed.filter(|_| self.whose.load(Ordering::Acquire) == HEAD)
    }

    /// The connection has come to its proper end: the last answer has arrived, if the client closed
    /// its side, and no sooner than it was written.
    pub(crate) fn closed(&self) -> Option<Owed> {
        let owed = self.lock_owed().take();
        owed.filter(|_| self.closed.load(Ordering::Acquire))
    }

    fn lock_owed(&self) -> MutexGuard<'_, Option<Owed>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_owed(&self) -> bool {
        self.lock_owed().is_some()
    }

    /// The client may take the end of the connection for that of an answer.
    pub(crate) fn end_by_close(&self) {
        self.by_close.store(true, Ordering::Release);
    }

    pub(crate) fn ends_by_close(&self) -> bool {
        self.by_close.load(Ordering::Acquire)
    }

    /// From here on the connection carries something else, without deadlines.
    pub(crate) fn upgrade(&self) {
        self.whose.store(UPGRADED, Ordering::Release);
    }

    /// The request was answered, and its body may not have been read. Where requests share a
    /// connection it does not end with one of them.
    pub(crate) fn leave_unread(&self) {
        self.unread.store(self.running.is_none(), Ordering::Release);
    }

    pub(super) fn change(&self, from: u8, to: u8) {
        let _ = self.whose.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Lives as long as the answer's body.
#[derive(Debug)]
pub(crate) struct TurnGuard(Arc<Turn>);

impl Drop for TurnGuard {
    fn drop(&mut self) {
        match &self.0.running {
            Some(running) => {
                running.fetch_sub(1, Ordering::AcqRel);
            }
            None => self.0.change(EXCHANGE, IDLE),
        }
    }
}
