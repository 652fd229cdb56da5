//! The engine's time: the wall clock, but never running backwards, and with its jumps noted.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use store_core::model::Timestamp;

use super::Clock;
use super::jumps::Jumps;

/// The wall clock jumped if it gained more than this, in microseconds, on the clock that counts suspend.
const TOLERANCE: i64 = 2_000_000;

/// A log of an older version that ends this far ahead of the wall clock, in microseconds, was written after a
/// jump.
const UNRECORDED: i64 = 3_600_000_000;

/// What a later process needs to find a jump that happened while none ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClockRecord {
    boot_id: Option<String>,
    /// The clock that counts suspend, in microseconds, at the time `at`.
    since_boot: i64,
    at: Timestamp,
    jumps: Jumps,
}

/// Keeps the engine's time from running backwards, and finds the jumps of the wall clock.
#[derive(Debug)]
pub(crate) struct TimeKeeper {
    clock: Arc<dyn Clock>,
    boot_id: Option<String>,
    /// The engine's time and the clock that counts suspend, at the start or after the last jump.
    anchor: (Timestamp, i64),
    /// The last time returned, and the clock that counts suspend at that moment.
    last: (Timestamp, i64),
    jumps: Arc<Jumps>,
    /// The length of the last jump in microseconds, until it is in the log.
    unlogged: Option<i64>,
}

impl TimeKeeper {
    /// `newest` is the time of the newest event: no later event is earlier. `record` is what an earlier
    /// process left.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        newest: Timestamp,
        record: Option<ClockRecord>,
    ) -> Self {
        let since_boot = micros(clock.since_boot());
        let boot_id = clock.boot_id();
        let (anchor, jumps) = match record {
            Some(record) if record.boot_id.is_some() && record.boot_id == boot_id => {
                let passed = since_boot.saturating_sub(record.since_boot).max(0);
                (plus(record.at, passed).max(newest), record.jumps)
            }
            // How long the machine was off only the wall clock knows.
            Some(record) => (newest.max(clock.now()), record.jumps),
            None => {
                let (wall, mut jumps) = (clock.now(), Jumps::default());
                let ahead = newest.as_micros().saturating_sub(wall.as_micros());
                if ahead > UNRECORDED {
                    jumps.add(newest, ahead);
                }
                (newest.max(wall), jumps)
            }
        };
        Self {
            clock,
            boot_id,
            anchor: (anchor, since_boot),
            last: (anchor, since_boot),
            jumps: Arc::new(jumps),
            unlogged: None,
        }
    }

    /// The current time.
    pub(crate) fn now(&mut self) -> Timestamp {
        // In this order a process that is stopped in between finds no jump.
        let wall = self.clock.now();
        let since_boot = micros(self.clock.since_boot());
        let expected = plus(self.anchor.0, since_boot.saturating_sub(self.anchor.1));
        let ahead = wall.as_micros().saturating_sub(expected.as_micros());
        if ahead > TOLERANCE {
            tracing::warn!(seconds = ahead / 1_000_000, "the wall clock jumped forward");
            Arc::make_mut(&mut self.jumps).add(wall, ahead);
            self.anchor = (wall, since_boot);
            self.unlogged = Some(self.unlogged.unwrap_or(0).saturating_add(ahead));
        }
        let now = wall.max(expected).max(self.last.0);
        self.last = (now, since_boot);
        now
    }

    /// The clock that counts suspend when [`Self::now`] was last asked, in microseconds.
    pub(crate) const fn since_boot(&self) -> i64 {
        self.last.1
    }

    /// The jumps so far.
    pub(crate) fn jumps(&self) -> Arc<Jumps> {
        Arc::clone(&self.jumps)
    }

    /// How far the wall clock has jumped, until [`Self::logged`].
    pub(crate) fn jump(&self) -> Option<Duration> {
        self.unlogged.map(|by| Duration::from_micros(by.unsigned_abs()))
    }

    /// What a later process needs: to be written at the start and with each jump.
    pub(crate) fn record(&self) -> ClockRecord {
        ClockRecord {
            boot_id: self.boot_id.clone(),
            since_boot: self.anchor.1,
            at: self.anchor.0,
            jumps: self.jumps.as_ref().clone(),
        }
    }

    /// The jump is in the log.
    pub(crate) const fn logged(&mut self) {
        self.unlogged = None;
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

const fn plus(time: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(time.as_micros().saturating_add(micros))
}

#[cfg(test)]
mod tests;
