//! The inputs of a decision besides the records: the time, and the store's secret.

use store_core::model::Timestamp;

use crate::token::Secret;

/// The time and the secret of a decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    /// Keys expire, and old data is dropped. False after the wall clock has jumped.
    pub(crate) expiry: bool,
    pub(crate) secret: &'a Secret,
}

impl Context<'_> {
    /// The time at which a key must be free to be taken. `None`: keys do not expire.
    pub(crate) fn key_expiry(&self) -> Option<Timestamp> {
        self.expiry.then_some(self.now)
    }
}
