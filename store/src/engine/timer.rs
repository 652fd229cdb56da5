//! A timer for work that is done at intervals.

use std::time::{Duration, Instant};

/// Becomes due at intervals.
#[derive(Debug)]
pub(crate) struct Every {
    interval: Duration,
    last: Option<Instant>,
}

impl Every {
    /// Due for the first time after an interval.
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, last: Some(Instant::now()) }
    }

    /// Due for the first time at once, so that short-lived processes do the work too.
    pub(crate) fn at_once(interval: Duration) -> Self {
        Self { interval, last: None }
    }

    /// True once per interval.
    pub(crate) fn due(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= self.interval);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }
}
