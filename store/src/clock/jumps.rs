//! Jumps of the wall clock: time that it shows and that did not pass.

use serde::{Deserialize, Serialize};
use store_core::model::Timestamp;

/// How many jumps are kept. Beyond that the oldest two count as one, which only prolongs what began between
/// them.
const MAX_JUMPS: usize = 64;

/// The jumps of the wall clock, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Jumps(Vec<Jump>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Jump {
    /// The time after it.
    at: Timestamp,
    /// In microseconds.
    by: i64,
}

impl Jumps {
    /// Adds the newest jump: `at` is the time after it, `by` its length in microseconds.
    pub(crate) fn add(&mut self, at: Timestamp, by: i64) {
        if self.0.len() >= MAX_JUMPS {
            let oldest = self.0.remove(0);
            self.0[0].by = self.0[0].by.saturating_add(oldest.by);
        }
        self.0.push(Jump { at, by });
    }

    /// When `window` microseconds will have passed since `since`.
    pub(crate) fn end(&self, since: Timestamp, window: i64) -> Timestamp {
        let skipped = self.0.iter().rev().take_while(|jump| jump.at > since).map(|jump| jump.by);
        let end = skipped.fold(since.as_micros().saturating_add(window), i64::saturating_add);
        Timestamp::from_micros(end)
    }

    /// The latest time since which `age` microseconds have passed `now`.
    pub(crate) fn ago(&self, now: Timestamp, age: i64) -> Timestamp {
        let mut since = now.as_micros().saturating_sub(age);
        for jump in self.0.iter().rev().take_while(|jump| jump.at <= now) {
            if jump.at.as_micros() <= since {
                break;
            }
            since = since.saturating_sub(jump.by);
        }
        Timestamp::from_micros(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn a_window_ends_when_it_has_passed() {
        let mut jumps = Jumps::default();
        assert_eq!(jumps.end(at(100), 50), at(150));
        jumps.add(at(1_120), 1_000);
        jumps.add(at(3_130), 2_000);
        let ends = [(100, 3_150), (120, 3_170), (1_120, 3_170), (1_125, 3_175), (3_130, 3_180)];
        for (since, end) in ends {
            assert_eq!(jumps.end(at(since), 50), at(end), "{since}");
        }
    }

    #[test]
    fn what_began_before_a_time_is_of_that_age() {
        let mut jumps = Jumps::default();
        jumps.add(at(1_120), 1_000);
        jumps.add(at(3_130), 2_000);
        for now in [3_130, 3_140, 3_180, 3_400] {
            for age in 0..400 {
                let ago = jumps.ago(at(now), age);
                assert!(jumps.end(ago, age) <= at(now), "{now} {age}: {ago:?}");
            }
        }
        let ages = [(5, 3_135), (10, 3_130), (11, 1_129), (20, 1_120), (21, 119), (40, 100)];
        for (age, since) in ages {
            assert_eq!(jumps.ago(at(3_140), age), at(since), "{age}");
        }
    }

    #[test]
    fn many_jumps_prolong_and_never_shorten() {
        let mut jumps = Jumps::default();
        for n in 1..=200 {
            jumps.add(at(n * 100), 10);
        }
        assert_eq!(jumps.0.len(), MAX_JUMPS);
        assert_eq!(jumps.end(at(0), 0), at(2_000));
        assert!(jumps.end(at(100 * 100), 0) >= at(100 * 100 + 1_000));
        assert_eq!(jumps.end(at(199 * 100), 0), at(199 * 100 + 10));
    }
}
