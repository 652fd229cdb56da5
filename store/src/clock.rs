//! The engine's time: the wall clock, but never running backwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use store_core::model::Timestamp;

/// If the wall clock gains more than this on the clock that counts suspend, keys stop expiring until the
/// next start.
pub(crate) const JUMP: Duration = Duration::from_secs(3_600);

/// The source of time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Time since some moment before the process started. Counts suspend, and never runs backwards.
    fn since_boot(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(chrono::Utc::now().timestamp_micros())
    }

    fn since_boot(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    }
}

/// Keeps the engine's time from running backwards, and detects jumps.
#[derive(Debug)]
pub(crate) struct TimeKeeper {
    clock: Arc<dyn Clock>,
    /// The last time returned, and the steady clock's reading at that moment.
    last: (Timestamp, Duration),
    /// The wall clock and the steady clock at the start.
    anchor: (Timestamp, Duration),
    /// Set once the wall clock has jumped; shared with readers.
    jumped: Arc<AtomicBool>,
    /// How far it has jumped, until that is in the log.
    unlogged: Option<Duration>,
}

impl TimeKeeper {
    /// `newest` is the time of the newest event: no later event is earlier. If it is far ahead of the wall
    /// clock, it was written after a jump.
    pub(crate) fn new(clock: Arc<dyn Clock>, newest: Timestamp, jumped: Arc<AtomicBool>) -> Self {
        let (wall, steady) = (clock.now(), clock.since_boot());
        if newest > wall.plus(JUMP) {
            jumped.store(true, Ordering::Relaxed);
        }
        Self {
            clock,
            last: (wall.max(newest), steady),
            anchor: (wall, steady),
            jumped,
            unlogged: None,
        }
    }

    /// The current time.
    pub(crate) fn now(&mut self) -> Timestamp {
        let (wall, steady) = (self.clock.now(), self.clock.since_boot());
        let expected = self.anchor.0.plus(steady.saturating_sub(self.anchor.1));
        let ahead = wall.as_micros().saturating_sub(expected.as_micros());
        let ahead = Duration::from_micros(u64::try_from(ahead).unwrap_or(0));
        if ahead > JUMP && !self.jumped.swap(true, Ordering::Relaxed) {
            tracing::warn!(seconds = ahead.as_secs(), "the wall clock jumped forward");
            self.unlogged = Some(ahead);
        }
        let now = if wall >= self.last.0 {
            wall
        } else {
            self.last.0.plus(steady.saturating_sub(self.last.1))
        };
        self.last = (now, steady);
        now
    }

    /// How far the wall clock has jumped, until [`Self::logged`].
    pub(crate) const fn jump(&self) -> Option<Duration> {
        self.unlogged
    }

    /// The jump is in the log.
    pub(crate) const fn logged(&mut self) {
        self.unlogged = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Set(Mutex<(i64, u64)>);

    impl Set {
        fn to(&self, wall_s: i64, steady_s: u64) {
            *self.0.lock().unwrap() = (wall_s, steady_s);
        }
    }

    impl Clock for Set {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.0.lock().unwrap().0 * 1_000_000)
        }

        fn since_boot(&self) -> Duration {
            Duration::from_secs(self.0.lock().unwrap().1)
        }
    }

    fn seconds(time: Timestamp) -> i64 {
        time.as_micros() / 1_000_000
    }

    #[test]
    fn never_runs_backwards() {
        let clock = Arc::new(Set::default());
        clock.to(1_000, 10);
        let mut keeper =
            TimeKeeper::new(clock.clone(), Timestamp::from_micros(2_000_000_000), Arc::default());
        assert_eq!(seconds(keeper.now()), 2_000);
        clock.to(500, 13);
        assert_eq!(seconds(keeper.now()), 2_003);
        clock.to(3_000, 14);
        assert_eq!(seconds(keeper.now()), 3_000);
    }

    #[test]
    fn a_log_from_the_future_was_written_after_a_jump() {
        let clock = Arc::new(Set::default());
        clock.to(1_000, 10);
        for (newest_s, expected) in [(900, false), (1_000 + 3_600, false), (1_000 + 3_601, true)] {
            let jumped = Arc::new(AtomicBool::default());
            let newest = Timestamp::from_micros(newest_s * 1_000_000);
            TimeKeeper::new(clock.clone(), newest, Arc::clone(&jumped));
            assert_eq!(jumped.load(Ordering::Relaxed), expected, "{newest_s}");
        }
    }

    #[test]
    fn a_jump_is_reported_until_it_is_logged() {
        let clock = Arc::new(Set::default());
        clock.to(1_000, 10);
        let mut keeper = TimeKeeper::new(clock.clone(), Timestamp::from_micros(0), Arc::default());
        clock.to(1_000 + 3_600, 20);
        keeper.now();
        assert_eq!(keeper.jump(), None);
        // Suspend moves both clocks.
        clock.to(1_000 + 90_000, 10 + 90_000);
        keeper.now();
        assert_eq!(keeper.jump(), None);
        clock.to(200_000, 90_011);
        keeper.now();
        assert!(keeper.jump().is_some());
        assert!(keeper.jumped.load(Ordering::Relaxed));
        keeper.now();
        assert!(keeper.jump().is_some());
        keeper.logged();
        keeper.now();
        assert_eq!(keeper.jump(), None);
    }
}
