//! What a job of the writer has access to.

use crate::engine::live::Live;
use crate::sqlite::transaction::Transaction;

/// The open transaction, and the state that is not on disk.
pub(crate) struct Write<'c> {
    pub(crate) tx: Transaction<'c>,
    pub(crate) live: &'c mut Live,
}
