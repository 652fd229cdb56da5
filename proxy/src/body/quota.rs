//! An amount of memory or disk space that many share.
//!
//! A semaphore would do, but would take its lock whenever a share is given back: once a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number of bytes that all users share.
#[derive(Debug)]
pub(crate) struct Quota {
    limit: u64,
    used: AtomicU64,
}

/// The quota has no such amount left.
#[derive(Debug)]
pub(crate) struct UsedUp;

impl Quota {
    pub(crate) const fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0) }
    }

    pub(super) fn take(&self, bytes: u64) -> Result<(), UsedUp> {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        let result = self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits);
        result.map(drop).map_err(|_| UsedUp)
    }

    pub(super) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::SeqCst)
    }
}

/// What one user takes of a quota. Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct QuotaShare {
    quota: Arc<Quota>,
    bytes: u64,
}

impl QuotaShare {
    /// A share of nothing.
    pub(crate) fn of(quota: &Arc<Quota>) -> Self {
        Self { quota: Arc::clone(quota), bytes: 0 }
    }

    /// Makes the share `bytes`. After an error it is what it was before.
    pub(crate) fn resize(&mut self, bytes: u64) -> Result<(), UsedUp> {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.quota.take(more)?,
            None => self.quota.give_back(self.bytes - bytes),
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for QuotaShare {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.quota.give_back(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shares_together_are_no_more_than_there_is() {
        let quota = Arc::new(Quota::new(10));
        let (mut one, mut other) = (QuotaShare::of(&quota), QuotaShare::of(&quota));
        one.resize(7).unwrap();
        other.resize(3).unwrap();
        assert!(other.resize(4).is_err());
        assert!(other.resize(u64::MAX).is_err());
        one.resize(2).unwrap();
        other.resize(8).unwrap();
        drop(one);
        other.resize(10).unwrap();
        drop(other);
        assert_eq!(quota.used(), 0);
    }
}
