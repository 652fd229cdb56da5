//! Counters and flags of the writer, for everybody else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use store_core::Error;
use store_core::model::Timestamp;
use tokio::sync::watch;

use crate::clock::jumps::Jumps;
use crate::clock::{Clock as _, SystemClock};
use crate::engine::duplicates::Duplicates;
use crate::mutex::lock;

/// Upper bounds of the commit histogram's buckets, in seconds.
const COMMIT_BUCKETS: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

/// How many names of one kind are counted separately in a minute; the rest is counted as `other`.
const MAX_COUNTED: usize = 1_000;

/// Counters and flags that the writer sets and others read.
#[derive(Debug, Default)]
pub(crate) struct Status {
    /// New calls are refused until there is disk space.
    pub(crate) full: AtomicBool,
    /// How the files were deleted, replaced or truncated under the engine; `None` while they are its own.
    lost: watch::Sender<Option<String>>,
    /// Another program keeps the log from shrinking.
    pub(crate) log_pinned: AtomicBool,
    /// The log is so large that new calls are refused.
    pub(crate) log_full: AtomicBool,
    /// Outcomes are waiting for disk space, or for another program.
    pub(crate) stalled: AtomicBool,
    /// The jumps of the wall clock.
    jumps: Mutex<Arc<Jumps>>,
    /// How far the wall clock jumped since the start of the process, in microseconds.
    jumped: AtomicI64,
    /// Proxied calls under a lease.
    pub(crate) in_flight: AtomicI64,
    /// Executions in doubt.
    pub(crate) in_doubt: AtomicI64,
    /// The engine's time minus the clock that counts suspend, in microseconds, at the newest event.
    time_offset: AtomicI64,
    /// The number of the newest event, for those who wait for the next one.
    newest: watch::Sender<i64>,
    /// Duplicates that are not written yet, and their total.
    pub(crate) duplicates: Duplicates,
    commits: Mutex<Histogram>,
    counts: Mutex<HashMap<&'static str, Counted>>,
}

/// Requests of one kind that passed without a record.
#[derive(Debug, Default)]
struct Counted {
    /// Since the start of the process.
    total: u64,
    /// In this minute, by name.
    minute: HashMap<String, u64>,
}

/// Cumulative counts by upper bound in seconds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Histogram {
    /// The sum of all observations, in seconds.
    pub sum: f64,
    /// The number of observations.
    pub count: u64,
    /// (upper bound, number of observations up to it), ascending.
    pub buckets: Vec<(f64, u64)>,
}

impl Status {
    /// Whether new calls are accepted.
    pub(crate) fn check_accepting(&self) -> Result<(), Error> {
        if self.is_lost() {
            return Err(Error::Lost);
        }
        if self.full.load(Ordering::Relaxed) {
            return Err(Error::Full);
        }
        if self.log_full.load(Ordering::Relaxed) {
            return Err(Error::LogFull);
        }
        Ok(())
    }

    /// Publishes the number of the newest event.
    pub(crate) fn set_newest(&self, seq: i64) {
        self.newest.send_replace(seq);
    }

    /// Publishes the engine's time: at `now` the clock that counts suspend showed `since_boot` microseconds.
    pub(crate) fn set_time(&self, now: Timestamp, since_boot: i64) {
        self.time_offset.store(now.as_micros().saturating_sub(since_boot), Ordering::Relaxed);
    }

    /// Notes that the files are no longer those of this engine.
    pub(crate) fn set_lost(&self, how: String) {
        self.lost.send_replace(Some(how));
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.borrow().is_some()
    }

    /// Watches whether the files are still those of this engine.
    pub(crate) fn lost(&self) -> watch::Receiver<Option<String>> {
        self.lost.subscribe()
    }

    /// Watches the number of the newest event.
    pub(crate) fn newest(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }

    /// The number of the newest event.
    pub(crate) fn events(&self) -> u64 {
        self.newest.borrow().unsigned_abs()
    }

    /// Publishes the jumps of the wall clock; the last ones were `by` long.
    pub(crate) fn set_jumps(&self, jumps: Arc<Jumps>, by: Duration) {
        *lock(&self.jumps) = jumps;
        Self::add(&self.jumped, i64::try_from(by.as_micros()).unwrap_or(i64::MAX));
    }

    /// The jumps of the wall clock.
    pub(crate) fn jumps(&self) -> Arc<Jumps> {
        Arc::clone(&lock(&self.jumps))
    }

    /// How far the wall clock jumped since the start of the process.
    pub(crate) fn jumped(&self) -> Duration {
        Duration::from_micros(self.jumped.load(Ordering::Relaxed).unsigned_abs())
    }

    pub(crate) fn observe_commit(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let mut commits = lock(&self.commits);
        if commits.buckets.is_empty() {
            commits.buckets = COMMIT_BUCKETS.iter().map(|bound| (*bound, 0)).collect();
        }
        commits.sum += seconds;
        commits.count += 1;
        for (bound, count) in &mut commits.buckets {
            if seconds <= *bound {
                *count += 1;
            }
        }
    }

    /// The time for readers: goes on as the writer's does, also if the wall clock is behind it.
    pub(crate) fn now(&self) -> Timestamp {
        let offset = Timestamp::from_micros(self.time_offset.load(Ordering::Relaxed));
        SystemClock.now().max(offset.plus(SystemClock.since_boot()))
    }

    pub(crate) fn commits(&self) -> Histogram {
        lock(&self.commits).clone()
    }

    /// Counts a request that is not an execution, for the row of the minute in the log.
    pub(crate) fn count(&self, kind: &'static str, what: &str) {
        let mut counts = lock(&self.counts);
        let counted = counts.entry(kind).or_default();
        counted.total += 1;
        if let Some(count) = counted.minute.get_mut(what) {
            *count += 1;
            return;
        }
        let what = if counted.minute.len() < MAX_COUNTED { what } else { "other" };
        *counted.minute.entry(what.to_owned()).or_default() += 1;
    }

    /// Takes the counts of the minute by kind and name, and resets them.
    pub(crate) fn take_counts(&self) -> Vec<((&'static str, String), u64)> {
        let mut counts = lock(&self.counts);
        let mut minute: Vec<_> = counts
            .iter_mut()
            .flat_map(|(kind, counted)| {
                counted.minute.drain().map(|(what, count)| ((*kind, what), count))
            })
            .collect();
        minute.sort_unstable();
        minute
    }

    pub(crate) fn decisions(&self) -> HashMap<&'static str, u64> {
        lock(&self.counts).iter().map(|(kind, counted)| (*kind, counted.total)).collect()
    }

    pub(crate) fn add(counter: &AtomicI64, by: i64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}
