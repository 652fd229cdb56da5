//! What a decision goes by beside the records: the time, and the store's secret.

use store_core::model::Timestamp;

use crate::token::Secret;

/// When, and with whose secret, a decision is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    /// Keys expire, and what is old is dropped; not after the wall clock has jumped.
    pub(crate) expiry: bool,
    pub(crate) secret: &'a Secret,
}

impl Context<'_> {
    /// By when a key has to be free to be taken; `None`: no key becomes free by time.
    pub(crate) fn key_expiry(&self) -> Option<Timestamp> {
        self.expiry.then_some(self.now)
    }
}
