//! Reads what decisions need.

use rusqlite::{Connection, OptionalExtension, params};
use store_core::Error;
use store_core::call::Call;
use store_core::key::{Digest, HolderKey};
use store_core::model::{Execution, SessionStatus};
use uuid::Uuid;

use crate::decide::brief::{Brief, Guard};
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

/// The executions that hold back calls with a call's content, under any key. `earlier`: the other sessions of
/// the same name that [`surroundings`] found.
pub(crate) fn guarding(
    conn: &Connection,
    call: &Call,
    earlier: &[(i64, Uuid)],
) -> rusqlite::Result<Vec<Brief>> {
    let digests = &call.digests;
    let contents = [&digests.content, &digests.ruled, &digests.literal].map(Digest::short);
    let mut guarding: Vec<Brief> = conn
        .prepare_cached(queries::BRIEF_GUARDING)?
        .query_map(contents, execution_rows::brief)?
        .collect::<Result<_, _>>()?;
    for (row, id) in earlier {
        let [content, ruled, literal] =
            digests.contents_in(call.scope.user_id, *id).map(|digest| digest.short());
        let mut unsettled = conn.prepare_cached(queries::BRIEF_UNSETTLED)?;
        for brief in
            unsettled.query_map(params![content, ruled, literal, row], execution_rows::brief)?
        {
            let brief = brief?;
            let guard =
                if brief.guard == Some(Guard::Doubt) { Guard::Doubt } else { Guard::Outlived };
            guarding.push(Brief { guard: Some(guard), ..brief });
        }
    }
    Ok(guarding)
}

/// Whether a session accepts calls, and the other sessions of its name with calls that run or are in doubt.
pub(crate) fn surroundings(
    conn: &Connection,
    session: i64,
) -> rusqlite::Result<(bool, Vec<(i64, Uuid)>)> {
    let mut rows = conn.prepare_cached(queries::SESSION_AND_UNSETTLED)?;
    let mut rows = rows.query([session])?;
    let (mut open, mut earlier) = (true, Vec::new());
    while let Some(row) = rows.next()? {
        let status = rows::word(row, 0, SessionStatus::from_number)?;
        open = matches!(status, SessionStatus::Active | SessionStatus::Paused);
        if let Some(other) = row.get(1)? {
            earlier.push((other, rows::uuid(row, 2)?));
        }
    }
    Ok((open, earlier))
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
