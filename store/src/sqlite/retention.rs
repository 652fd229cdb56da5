//! Drops old bodies of answers, and old events.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use store_core::key::Digest;
use store_core::model::EventKind;

use crate::decide::event::NewEvent;
use crate::sqlite::error::Fail;
use crate::sqlite::queries;
use crate::sqlite::transaction::{AfterCommit, Transaction};

/// How long bodies of answers are kept.
pub(crate) const BODIES: Duration = Duration::from_secs(30 * 86_400);
/// How long events are kept.
const EVENTS: Duration = Duration::from_secs(400 * 86_400);
#[derive(serde::Serialize)]
struct Pruned {
    up_to: i64,
    hash: String,
}

/// Drops old events, and logs up to which one.
pub(crate) fn prune_events(tx: &mut Transaction<'_>) -> Result<(), Fail> {
    let last: Option<(i64, [u8; 32])> = tx
        .conn
        .prepare_cached(queries::RETENTION_EVENT)?
        .query_row([tx.context.ago(EVENTS).as_micros()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((up_to, hash)) = last {
        let hash = Digest::from_bytes(hash).hex(32);
        tx.conn.prepare_cached(queries::RETENTION_PRUNE)?.execute(params![up_to])?;
        tx.event(NewEvent::engine(EventKind::Pruned, &Pruned { up_to, hash }));
    }
    Ok(())
}

#[derive(serde::Serialize)]
struct BodiesDropped {
    answers: usize,
}

/// Drops the old bodies of the next answers after the row `from`. Returns where to continue, if there are
/// more.
pub(crate) fn drop_bodies(tx: &mut Transaction<'_>, from: i64) -> Result<Option<i64>, Fail> {
    let before = tx.context.ago(BODIES).as_micros();
    let (to, old): (Option<i64>, Option<bool>) = tx
        .conn
        .prepare_cached(queries::RETENTION_RANGE)?
        .query_row(params![from, before], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(to) = to else { return Ok(None) };
    let dropped =
        tx.conn.prepare_cached(queries::RETENTION_BODIES)?.execute(params![from, to, before])?;
    if dropped > 0 {
        tx.after(AfterCommit::ReplaysChanged);
        tx.event(NewEvent::engine(EventKind::BodiesDropped, &BodiesDropped { answers: dropped }));
    }
    Ok(old.unwrap_or(false).then_some(to))
}
