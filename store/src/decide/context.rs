//! The inputs of a decision besides the records: the time, and the store's secret.

use std::time::Duration;

use store_core::model::Timestamp;

use crate::clock::jumps::Jumps;
use crate::decide::plan::micros;
use crate::token::Secret;

/// The time and the secret of a decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    /// Time that did not pass: no key is free because of it, and nothing is dropped.
    pub(crate) jumps: &'a Jumps,
    /// How long an answer that did not arrive is remembered, in microseconds.
    pub(crate) undelivered_for: i64,
    pub(crate) secret: &'a Secret,
}

impl Context<'_> {
    /// Answers that were given earlier and did not arrive are forgotten.
    pub(crate) fn undelivered_since(&self) -> Timestamp {
        self.jumps.ago(self.now, self.undelivered_for)
    }

    /// The latest time since which `age` has passed.
    pub(crate) fn ago(&self, age: Duration) -> Timestamp {
        self.jumps.ago(self.now, micros(age))
    }
}
