//! Predicts whether a call is new. If so, its key is not looked up before the writer does.
//!
//! A lookup before the claim saves the writer the known calls, and costs a new call an eighth of its CPU
//! time. Agents send long series of new calls, and repeat themselves in bursts.

use std::sync::atomic::{AtomicU32, Ordering};

/// After this many new calls in a row, another new one is expected.
const LONG: u32 = 32;

/// The number of new calls since the last known one.
#[derive(Debug, Default)]
pub(crate) struct NewCallPredictor(AtomicU32);

impl NewCallPredictor {
    pub(crate) fn expects_new(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= LONG
    }

    /// Records that a call was new.
    pub(crate) fn saw_new(&self) {
        if !self.expects_new() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records that a call was known.
    pub(crate) fn saw_known(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_of_new_calls_ends_with_the_first_known_one() {
        let calls = NewCallPredictor::default();
        for _ in 0..LONG {
            assert!(!calls.expects_new());
            calls.saw_new();
        }
        assert!(calls.expects_new());
        calls.saw_new();
        assert!(calls.expects_new());
        calls.saw_known();
        assert!(!calls.expects_new());
    }
}
