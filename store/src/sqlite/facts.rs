//! Reads what decisions need.

use rusqlite::{Connection, OptionalExtension, params};
use store_core::Error;
use store_core::call::Call;
use store_core::key::{Digest, HolderKey};
use store_core::model::Execution;
use uuid::Uuid;

use crate::decide::brief::Brief;
use crate::decide::settle::Late;
use crate::sqlite::error::Fail;
use crate::sqlite::{execution_rows, queries, rows};

/// The execution that holds a key. The key may be free again.
pub(crate) fn holder(conn: &Connection, key: &HolderKey) -> rusqlite::Result<Option<Brief>> {
    conn.prepare_cached(queries::BRIEF_BY_KEY)?
        .query_row([key.as_bytes()], execution_rows::brief)
        .optional()
}

/// The execution with this id.
pub(crate) fn brief(conn: &Connection, id: Uuid) -> Result<Brief, Fail> {
    conn.prepare_cached(queries::BRIEF_BY_UUID)?
        .query_row([id.as_bytes()], execution_rows::brief)
        .optional()?
        .ok_or_else(|| Error::NotFound { what: "execution", id: id.to_string() }.into())
}

/// The execution in an existing row.
pub(crate) fn brief_of_row(conn: &Connection, row: i64) -> rusqlite::Result<Brief> {
    conn.prepare_cached(queries::BRIEF_BY_ID)?.query_row([row], execution_rows::brief)
}

/// The whole of an existing execution.
pub(crate) fn execution(conn: &Connection, id: Uuid) -> rusqlite::Result<Execution> {
    let execution = conn
        .prepare_cached(queries::EXECUTION_BY_UUID)?
        .query_row([id.as_bytes()], rows::execution);
    execution.map(|(_, execution)| execution)
}

/// The executions that hold back calls with a call's content, under any key.
pub(crate) fn guarding(conn: &Connection, call: &Call) -> rusqlite::Result<Vec<Brief>> {
    let digests = &call.digests;
    let contents = [&digests.content, &digests.ruled, &digests.literal].map(Digest::short);
    conn.prepare_cached(queries::BRIEF_GUARDING)?
        .query_map(contents, execution_rows::brief)?
        .collect()
}

/// The stored output.
pub(crate) fn output(conn: &Connection, row: i64) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached(queries::OUTPUT)?.query_row([row], |row| row.get(0))
}

/// Whether the log has an event of this kind for the attempt and outcome.
pub(crate) fn is_logged(conn: &Connection, row: i64, late: &Late) -> rusqlite::Result<bool> {
    conn.prepare_cached(queries::EVENT_REPORTED)?.exists(params![
        row,
        late.attempt,
        late.kind.as_str(),
        late.outcome.as_str()
    ])
}
