//! The figures of the dashboard that the store does not have: tool calls per minute over the last
//! hour, and the overhead of the engine per call.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use store::model::Timestamp;
use store::{Clock as _, SystemClock};

const MINUTE: i64 = 60_000_000;
const MINUTES: usize = 60;

/// The first bucket ends at 50 µs, each further one is a quarter longer, the last ends at about 80
/// s.
const BUCKETS: usize = 64;
const FIRST: f64 = 0.000_05;
const GROWTH: f64 = 1.25;

/// Counts per minute, the newest last; bounded.
#[derive(Debug, Default)]
pub(crate) struct Activity(Mutex<Counters>);

#[derive(Debug, Default)]
struct Counters {
    minutes: VecDeque<Minute>,
    /// The total of duplicates when the last call was counted.
    duplicates: u64,
}

#[derive(Debug)]
struct Minute {
    /// Minutes since the epoch.
    number: i64,
    calls: u64,
    duplicates: u64,
    overhead: [u32; BUCKETS],
}

/// The last hour.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Activity"))]
pub(crate) struct LastHour {
    /// Minutes in which something happened, oldest first.
    minutes: Vec<MinuteCounts>,
    overhead: Overhead,
    /// Proxied calls since the start, by decision.
    decisions: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct MinuteCounts {
    at: Timestamp,
    /// Tool calls, including duplicates.
    calls: u64,
    /// Calls that were answered without running the tool.
    duplicates: u64,
}

/// The time of proxied calls that reached their tool, without the time of the tool.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct Overhead {
    calls: u64,
    /// Upper bounds of the buckets, in seconds; null without calls.
    p50_seconds: Option<f64>,
    p99_seconds: Option<f64>,
}

impl Activity {
    /// Counts a tool call; `duplicates` is the total of stopped duplicates since the start.
    pub(crate) fn call(&self, duplicates: u64, overhead: Option<Duration>) {
        self.call_at(SystemClock.now().as_micros() / MINUTE, duplicates, overhead);
    }

    fn call_at(&self, number: i64, duplicates: u64, overhead: Option<Duration>) {
        let mut state = self.lock();
        let Counters { minutes, duplicates: before } = &mut *state;
        // If the clock was set back, the newest minute goes on counting.
        if minutes.back().is_none_or(|minute| minute.number < number) {
            if minutes.len() == MINUTES {
                minutes.pop_front();
            }
            minutes.push_back(Minute { number, calls: 0, duplicates: 0, overhead: [0; BUCKETS] });
        }
        let Some(minute) = minutes.back_mut() else { return };
        minute.calls += 1;
        minute.duplicates += duplicates.saturating_sub(*before);
        *before = duplicates.max(*before);
        if let Some(overhead) = overhead {
            minute.overhead[bucket(overhead.as_secs_f64())] += 1;
        }
    }

    pub(crate) fn last_hour(&self, decisions: BTreeMap<&'static str, u64>) -> LastHour {
        LastHour { decisions, ..self.last_hour_at(SystemClock.now().as_micros() / MINUTE) }
    }

    fn last_hour_at(&self, now: i64) -> LastHour {
        let state = self.lock();
        let mut overhead = [0_u64; BUCKETS];
        let mut counts = Vec::new();
        for minute in state.minutes.iter().filter(|minute| minute.number > now - MINUTES as i64) {
            for (sum, count) in overhead.iter_mut().zip(minute.overhead) {
                *sum += u64::from(count);
            }
            counts.push(MinuteCounts {
                at: Timestamp::from_micros(minute.number * MINUTE),
                calls: minute.calls,
                duplicates: minute.duplicates,
            });
        }
        let calls = overhead.iter().sum();
        LastHour {
            minutes: counts,
            overhead: Overhead {
                calls,
                p50_seconds: quantile(&overhead, calls, 0.5),
                p99_seconds: quantile(&overhead, calls, 0.99),
            },
            decisions: BTreeMap::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bucket(seconds: f64) -> usize {
    if seconds <= FIRST {
        return 0;
    }
    let steps = (seconds / FIRST).log(GROWTH).ceil();
    (steps as usize).min(BUCKETS - 1)
}

/// The upper bound of the bucket that holds the quantile.
fn quantile(buckets: &[u64; BUCKETS], count: u64, q: f64) -> Option<f64> {
    let rank = (q * count as f64).ceil() as u64;
    let mut seen = 0;
    let at = buckets.iter().position(|in_bucket| {
        seen += in_bucket;
        count > 0 && seen >= rank
    })?;
    Some(FIRST * GROWTH.powi(i32::try_from(at).unwrap_or(i32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let activity = Activity::default();
        for number in 0..200 {
            activity.call_at(number, number as u64 / 2, None);
        }
        let hour = activity.last_hour_at(199);
        assert_eq!(hour.minutes.len(), MINUTES);
        assert_eq!(hour.minutes.iter().map(|minute| minute.duplicates).sum::<u64>(), 30);
        assert_eq!(hour.minutes[59].at, Timestamp::from_micros(199 * MINUTE));
        assert_eq!(activity.last_hour_at(230).minutes.len(), 29);
        assert!(hour.overhead.p50_seconds.is_none());
    }

    #[test]
    fn quantiles_are_bounds_of_what_was_seen() {
        let activity = Activity::default();
        for _ in 0..98 {
            activity.call_at(0, 0, Some(Duration::from_millis(1)));
        }
        activity.call_at(0, 0, Some(Duration::from_secs(1)));
        activity.call_at(0, 0, Some(Duration::from_hours(1)));
        let overhead = activity.last_hour_at(0).overhead;
        assert_eq!(overhead.calls, 100);
        let (p50, p99) = (overhead.p50_seconds.unwrap(), overhead.p99_seconds.unwrap());
        assert!((0.001..0.001 * GROWTH).contains(&p50), "{p50}");
        assert!((1.0..GROWTH).contains(&p99), "{p99}");
        assert_eq!(bucket(0.0), 0);
    }
}
