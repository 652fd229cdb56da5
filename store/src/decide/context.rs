//! The inputs of a decision besides the records: the time, and the store's secret.

use store_core::model::Timestamp;

use crate::token::Secret;

/// The time and the secret of a decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    /// Keys expire, and old data is dropped. False after the wall clock has jumped.
    pub(crate) expiry: bool,
    /// How long an answer that did not arrive is remembered, in microseconds.
    pub(crate) undelivered_for: i64,
    pub(crate) secret: &'a Secret,
}

impl Context<'_> {
    /// The time at which a key must be free to be taken. `None`: keys do not expire.
    pub(crate) fn key_expiry(&self) -> Option<Timestamp> {
        self.expiry.then_some(self.now)
    }

    /// Answers that were given earlier and did not arrive are forgotten. `None`: none is.
    pub(crate) fn undelivered_since(&self) -> Option<Timestamp> {
        let since = self.now.as_micros().saturating_sub(self.undelivered_for);
        self.expiry.then_some(Timestamp::from_micros(since))
    }
}
