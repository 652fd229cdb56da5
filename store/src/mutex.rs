//! Locks around counters and caches.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, even if a panic poisoned the mutex: the data has no inconsistent intermediate state.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
