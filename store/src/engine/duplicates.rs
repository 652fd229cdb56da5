//! Stopped duplicates by execution, in memory until the writer has time to write them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use store_core::model::Timestamp;
use uuid::Uuid;

use crate::clock::{Clock as _, SystemClock};
use crate::mutex::lock;

/// An execution's duplicates are written at most this often.
const INTERVAL: Duration = Duration::from_secs(60);
/// How many executions may wait to be written; duplicates of further ones only count in the total.
const MAX_PENDING: usize = 10_000;
/// How many executions are written at once.
const MAX_WRITTEN: usize = 1_000;
/// How many duplicates of an event are logged with their time.
const MAX_TIMES: usize = 16;

/// The detail of an event `duplicates`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct DuplicateCounts {
    /// Their number, by how they were answered.
    pub(crate) answered: BTreeMap<String, u64>,
    /// When the first of them arrived.
    pub(crate) times: Vec<Timestamp>,
}

/// Duplicates that are not written yet.
#[derive(Debug, Default)]
pub(crate) struct Duplicates {
    total: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pending: HashMap<Uuid, DuplicateCounts>,
    written: HashMap<Uuid, Instant>,
}

impl Duplicates {
    pub(crate) fn note(&self, execution: Uuid, answered: &'static str) {
        self.total.fetch_add(1, Ordering::Relaxed);
        let mut state = lock(&self.state);
        if state.pending.len() >= MAX_PENDING && !state.pending.contains_key(&execution) {
            return;
        }
        let noted = state.pending.entry(execution).or_default();
        match noted.answered.get_mut(answered) {
            Some(count) => *count += 1,
            None => drop(noted.answered.insert(answered.to_owned(), 1)),
        }
        if noted.times.len() < MAX_TIMES {
            noted.times.push(SystemClock.now());
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Takes what is due.
    pub(crate) fn take_due(&self) -> Vec<(Uuid, DuplicateCounts)> {
        self.take(|id, written| !written.contains_key(id))
    }

    /// Takes everything, due or not.
    pub(crate) fn take_all(&self) -> Vec<(Uuid, DuplicateCounts)> {
        self.take(|_, _| true)
    }

    fn take(
        &self,
        due: impl Fn(&Uuid, &HashMap<Uuid, Instant>) -> bool,
    ) -> Vec<(Uuid, DuplicateCounts)> {
        let mut state = lock(&self.state);
        let State { pending, written } = &mut *state;
        written.retain(|_, at| at.elapsed() < INTERVAL);
        let due: Vec<Uuid> =
            pending.keys().filter(|id| due(id, written)).take(MAX_WRITTEN).copied().collect();
        let now = Instant::now();
        due.into_iter()
            .filter_map(|id| {
                written.insert(id, now);
                Some((id, pending.remove(&id)?))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_is_written_once_a_minute() {
        let duplicates = Duplicates::default();
        let id = Uuid::from_u128(7);
        duplicates.note(id, "replayed");
        duplicates.note(id, "replayed");
        duplicates.note(id, "coalesced");
        let due = duplicates.take_due();
        assert_eq!(due[0].0, id);
        assert_eq!(due[0].1.answered["replayed"], 2);
        assert_eq!(due[0].1.times.len(), 3);
        duplicates.note(id, "replayed");
        assert!(duplicates.take_due().is_empty());
        assert_eq!(duplicates.take_all().len(), 1);
    }

    #[test]
    fn what_waits_is_bounded() {
        let duplicates = Duplicates::default();
        for n in 0..=MAX_PENDING as u128 {
            duplicates.note(Uuid::from_u128(n), "replayed");
        }
        assert_eq!(lock(&duplicates.state).pending.len(), MAX_PENDING);
        assert_eq!(duplicates.take_due().len(), MAX_WRITTEN);
        for _ in 0..100 {
            duplicates.note(Uuid::from_u128(1), "replayed");
        }
        assert!(
            lock(&duplicates.state).pending.values().all(|noted| noted.times.len() <= MAX_TIMES)
        );
    }
}
