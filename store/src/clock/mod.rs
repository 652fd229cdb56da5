//! The machine's clocks, and the engine's time.

pub(crate) mod jumps;
pub(crate) mod keeper;

use std::time::Duration;

use store_core::model::Timestamp;

/// The kernel's name for the time since the machine was started.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The source of time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Time since some moment before the process started. Counts suspend, and never runs backwards.
    fn since_boot(&self) -> Duration;
    /// Names what [`Self::since_boot`] counts from: another name, another start of the machine. `None`:
    /// unknown.
    fn boot_id(&self) -> Option<String>;
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
    fn boot_id(&self) -> Option<String> {
        std::fs::read_to_string(BOOT_ID).ok().map(|id| id.trim().to_owned())
    }
}
