//! Answers that were given and are not known to have arrived. Most answers to duplicates change nothing about
//! them: looking here first spares the writer.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::mutex::lock;

/// The executions whose answers were given and are not known to have arrived, and since when.
#[derive(Debug, Default)]
pub(crate) struct Unconfirmed(Mutex<HashMap<Uuid, Instant>>);

impl Unconfirmed {
    /// An answer is about to be given.
    pub(crate) fn add(&self, execution_id: Uuid) {
        lock(&self.0).insert(execution_id, Instant::now());
    }

    pub(crate) fn contains(&self, execution_id: Uuid) -> bool {
        lock(&self.0).contains_key(&execution_id)
    }

    /// It arrived. False: that was known, or it is not remembered any more.
    pub(crate) fn remove(&self, execution_id: Uuid) -> bool {
        lock(&self.0).remove(&execution_id).is_some()
    }

    /// Forgets those that are older than `age`.
    pub(crate) fn forget(&self, age: Duration) {
        lock(&self.0).retain(|_, since| since.elapsed() < age);
    }
}
