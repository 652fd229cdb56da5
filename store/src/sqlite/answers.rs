//! Reads the answers of upstreams.

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use store_core::call::{Answer, AnswerBody};
use store_core::key::HolderKey;

use crate::decide::answer::fields;
use crate::decide::brief::Brief;
use crate::sqlite::{execution_rows, queries, rows};

/// The stored answer of an execution.
pub(crate) fn get(conn: &Connection, execution: i64) -> rusqlite::Result<Option<Answer>> {
    conn.prepare_cached(queries::ANSWER)?.query_row([execution], |row| read(row, 0)).optional()
}

/// The stored answer of an execution that was not settled by a verdict.
pub(crate) fn undecided(conn: &Connection, execution: i64) -> rusqlite::Result<Option<Answer>> {
    conn.prepare_cached(queries::ANSWER_UNDECIDED)?
        .query_row([execution], |row| read(row, 0))
        .optional()
}

/// The execution that holds a key, and its answer. The key may be free again.
pub(crate) fn of_holder(
    conn: &Connection,
    key: &HolderKey,
) -> rusqlite::Result<Option<(Brief, Option<Answer>)>> {
    conn.prepare_cached(queries::BRIEF_AND_ANSWER_BY_KEY)?
        .query_row([key.as_bytes()], |row| {
            let execution = execution_rows::brief(row)?;
            let answer = match row.get_ref(execution_rows::BEHIND_BRIEF)? {
                ValueRef::Null => None,
                _ => Some(read(row, execution_rows::BEHIND_BRIEF)?),
            };
            Ok((execution, answer))
        })
        .optional()
}

/// Reads an answer from column `at` on.
fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<Answer> {
    let body = match row.get_ref(at + 4)?.as_blob_or_null()? {
        Some(body) => AnswerBody::Kept(Bytes::copy_from_slice(body)),
        None => AnswerBody::Dropped {
            sha256: row.get(at + 5)?,
            size: row.get::<_, i64>(at + 6)?.unsigned_abs(),
        },
    };
    Ok(Answer {
        status: row.get(at)?,
        headers: fields(row.get_ref(at + 1)?.as_str()?),
        trailers: fields(row.get_ref(at + 2)?.as_str()?),
        omitted_cookies: row.get(at + 3)?,
        body,
        received_at: rows::time(row, at + 7)?,
    })
}
