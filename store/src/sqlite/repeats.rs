//! Records which of several identical calls each run of an agent requested last.

use rusqlite::{OptionalExtension, params};
use store_core::key::HolderKey;

use crate::decide::repeat::{self, Meant, RunRecord};
use crate::sqlite::error::Fail;
use crate::sqlite::transaction::Transaction;
use crate::sqlite::{facts, queries};

/// The number of the call that a request of a run means, from 1.
pub(crate) fn ordinal(
    tx: &mut Transaction<'_>,
    first: &HolderKey,
    run: &[u8; 16],
) -> Result<u32, Fail> {
    let (key, conn) = (first.as_bytes(), tx.conn);
    let last = conn.prepare_cached(queries::REPEATS_LAST)?.query_row([key], |row| row.get(0))?;
    let recorded = conn
        .prepare_cached(queries::REPEAT)?
        .query_row(params![key, run], |row| {
            Ok(RunRecord { known: row.get(0)?, ordinal: row.get(1)?, delivered: row.get(2)? })
        })
        .optional()?;
    match repeat::meant(last, recorded) {
        Meant::Same(ordinal) => Ok(ordinal),
        Meant::Next { known, ordinal } => {
            conn.prepare_cached(queries::REPEAT_PUT)?.execute(params![key, run, known, ordinal])?;
            Ok(ordinal)
        }
    }
}

/// The delivery of an answer to a run.
pub(crate) struct Delivered<'a> {
    /// The key of the first call.
    pub(crate) first: &'a HolderKey,
    pub(crate) ordinal: u32,
    /// The key of the call itself.
    pub(crate) holder: &'a HolderKey,
    pub(crate) run: Option<&'a str>,
    pub(crate) run_digest: [u8; 16],
}

/// Records a delivery, if the call is known to have run.
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
