//! Locks around counters and caches.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock that a panic elsewhere does not close: what it guards has no half-done state.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
