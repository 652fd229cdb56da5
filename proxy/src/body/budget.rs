//! Memory that many share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So much memory, in bytes, for all its [`Share`]s.
#[derive(Debug)]
pub(crate) struct Budget {
    most: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(crate) const fn new(most: usize) -> Self {
        Self { most, used: AtomicUsize::new(0) }
    }
}

/// What one takes of it; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

/// There is not so much left.
#[derive(Debug)]
pub(crate) struct UsedUp;

impl Share {
    /// Nothing so far.
    pub(crate) fn of(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0 }
    }

    /// Makes it `bytes`; after an error it is what it was before.
    pub(crate) fn resize(&mut self, bytes: usize) -> Result<(), UsedUp> {
        if let Some(more) = bytes.checked_sub(self.bytes) {
            let fits = |used: usize| used.checked_add(more).filter(|sum| *sum <= self.budget.most);
            let booked = self.budget.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits);
            booked.map_err(|_| UsedUp)?;
        } else {
            self.budget.used.fetch_sub(self.bytes - bytes, Ordering::AcqRel);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.used.fetch_sub(self.bytes, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shares_together_are_no_more_than_there_is() {
        let budget = Arc::new(Budget::new(10));
        let (mut one, mut other) = (Share::of(&budget), Share::of(&budget));
        one.resize(7).unwrap();
        other.resize(3).unwrap();
        assert!(other.resize(4).is_err());
        assert!(other.resize(usize::MAX).is_err());
        one.resize(2).unwrap();
        other.resize(8).unwrap();
        drop(one);
        other.resize(10).unwrap();
        drop(other);
        assert_eq!(budget.used.load(Ordering::SeqCst), 0);
    }
}
