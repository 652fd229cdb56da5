//! The engine's time.

use crate::model::Timestamp;

/// Where the engine reads the time from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Time since some moment before the process began; counts suspend; never runs backwards.
    fn since_boot(&self) -> std::time::Duration;
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(chrono::Utc::now().timestamp_micros())
    }

    fn since_boot(&self) -> std::time::Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        std::time::Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    }
}
