//! Is a call likely a new one: then nobody looks its key up before the writer does.
//!
//! A look before the claim spares the writer what is known, and costs a new call an eighth of its
//! processor time. Agents send long runs of new calls, and repeat themselves in bursts.

use std::sync::atomic::{AtomicU32, Ordering};

/// So many new calls in a row make one more likely.
const LONG: u32 = 32;

/// How many new calls came since the last known one.
#[derive(Debug, Default)]
pub(crate) struct Streak(AtomicU32);

impl Streak {
    pub(crate) fn expects_new(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= LONG
    }

    /// Learns whether a call was one.
    pub(crate) fn saw(&self, new: bool) {
        if !new {
            self.0.store(0, Ordering::Relaxed);
        } else if !self.expects_new() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_of_new_calls_ends_with_the_first_known_one() {
        let streak = Streak::default();
        for _ in 0..LONG {
            assert!(!streak.expects_new());
            streak.saw(true);
        }
        assert!(streak.expects_new());
        streak.saw(true);
        assert!(streak.expects_new());
        streak.saw(false);
        assert!(!streak.expects_new());
    }
}
