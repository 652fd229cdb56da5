//! Counts stopped duplicates on their executions.

use rusqlite::{OptionalExtension, params};
use store_core::model::{Actor, EventKind};
use uuid::Uuid;

use crate::decide::event::NewEvent;
use crate::engine::duplicates::DuplicateCounts;
use crate::sqlite::error::Fail;
use crate::sqlite::queries;
use crate::sqlite::transaction::Transaction;

/// Adds the duplicates of an execution to its count, and logs how they were answered.
pub(crate) fn put(tx: &mut Transaction<'_>, id: Uuid, noted: &DuplicateCounts) -> Result<(), Fail> {
    let count: u64 = noted.answered.values().sum();
    let found: Option<(i64, u32)> = tx
        .conn
        .prepare_cached(queries::DUPLICATES_ADD)?
        .query_row(params![id.as_bytes(), count as i64], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((row, attempt)) = found {
        tx.event(NewEvent::attempt(EventKind::Duplicates, attempt, Actor::Engine, noted).of(row));
    }
    Ok(())
}
