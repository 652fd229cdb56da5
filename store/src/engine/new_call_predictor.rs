//! Is a call likely a new one: then nobody looks its key up before the writer does.
//!
//! A look before the claim spares the writer what is known, and costs a new call an eighth of its
//! processor time. Agents send long runs of new calls, and repeat themselves in bursts.

use std::sync::atomic::{AtomicU32, Ordering};

/// So many new calls in a row make one more likely.
const LONG: u32 = 32;

/// How many new calls came since the last known one.
#[derive(Debug, Default)]
pub(crate) struct NewCallPredictor(AtomicU32);

impl NewCallPredictor {
    pub(crate) fn expects_new(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= LONG
    }

    /// Learns that a call was new.
    pub(crate) fn saw_new(&self) {
        if !self.expects_new() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Learns that a call was known.
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
