//! What a job of the writer works with.

use crate::engine::live::Live;
use crate::sqlite::transaction::Transaction;

/// A job's hands: the open transaction, and what the writer knows beside it.
pub(crate) struct Write<'c> {
    pub(crate) tx: Transaction<'c>,
    pub(crate) live: &'c mut Live,
}
