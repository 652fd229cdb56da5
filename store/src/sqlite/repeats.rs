//! Which of several identical calls the runs of an agent asked for.

use rusqlite::{OptionalExtension, params};
use store_core::key::HolderKey;

use crate::decide::repeat::{self, Asked, Meant};
use crate::sqlite::error::Fail;
use crate::sqlite::transaction::Transaction;
use crate::sqlite::{facts, queries};

/// The call that a request of a run means, from 1.
pub(crate) fn ordinal(
    tx: &mut Transaction<'_>,
    first: &HolderKey,
    run: &[u8; 16],
) -> Result<u32, Fail> {
    let (key, conn) = (first.as_bytes(), tx.conn);
    let last = conn.prepare_cached(queries::REPEATS_LAST)?.query_row([key], |row| row.get(0))?;
    let asked = conn
        .prepare_cached(queries::REPEAT)?
        .query_row(params![key, run], |row| {
            Ok(Asked { known: row.get(0)?, ordinal: row.get(1)?, delivered: row.get(2)? })
        })
        .optional()?;
    match repeat::meant(last, asked) {
        Meant::Same(ordinal) => Ok(ordinal),
        Meant::Next { known, ordinal } => {
            conn.prepare_cached(queries::REPEAT_PUT)?.execute(params![key, run, known, ordinal])?;
            Ok(ordinal)
        }
    }
}

/// The answer of a call was delivered to a run.
pub(crate) struct Delivered<'a> {
    /// The place of the first call's key.
    pub(crate) first: &'a HolderKey,
    pub(crate) ordinal: u32,
    /// The place of the call's own key.
    pub(crate) holder: &'a HolderKey,
    pub(crate) run: Option<&'a str>,
    pub(crate) run_digest: [u8; 16],
}

/// Records that, where the call is known to have run.
pub(crate) fn delivered(tx: &mut Transaction<'_>, delivered: &Delivered<'_>) -> Result<(), Fail> {
    let Some(execution) = facts::holder(tx.conn, delivered.holder)? else { return Ok(()) };
    if !repeat::counts(&execution) {
        return Ok(());
    }
    let changed = tx.conn.prepare_cached(queries::REPEAT_DELIVERED)?.execute(params![
        delivered.first.as_bytes(),
        delivered.run_digest,
        delivered.ordinal
    ])?;
    if changed > 0 {
        tx.event(repeat::delivered(&execution, delivered.run));
    }
    Ok(())
}
