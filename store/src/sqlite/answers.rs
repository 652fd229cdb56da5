//! Reads the answers of upstreams.

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, MAIN_DB, OptionalExtension, Row};
use store_core::call::{Answer, AnswerBody, StoredBody};
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

/// A body with its bytes, if they are in the store and at most `limit`.
pub(crate) fn whole(
    conn: &Connection,
    body: AnswerBody,
    limit: usize,
) -> rusqlite::Result<AnswerBody> {
    match body {
        AnswerBody::Stored(stored) if stored.size <= limit as u64 => {
            let bytes = self::body(conn, &stored, 0, limit)?;
            Ok(bytes.map_or(AnswerBody::Stored(stored), AnswerBody::Kept))
        }
        other => Ok(other),
    }
}

/// Up to `most` bytes of a stored body from byte `at` on; fewer only at its end. `None`: another body has
/// taken its place, or none. That of the same length shows only at the end.
///
/// To be called in a read transaction. Visits all pages before `at`.
pub(crate) fn body(
    conn: &Connection,
    stored: &StoredBody,
    at: u64,
    most: usize,
) -> rusqlite::Result<Option<Bytes>> {
    let length: Option<i64> = conn
        .prepare_cached(queries::ANSWER_BODY_LENGTH)?
        .query_row([stored.row], |row| row.get(0))
        .optional()?
        .flatten();
    if length.is_none_or(|length| length.unsigned_abs() != stored.size) || at > stored.size {
        return Ok(None);
    }
    let left = usize::try_from(stored.size - at).unwrap_or(usize::MAX);
    let mut bytes = vec![0; most.min(left)];
    let blob = conn.blob_open(MAIN_DB, "answers", "body", stored.row, true)?;
    blob.read_at_exact(&mut bytes, usize::try_from(at).unwrap_or(usize::MAX))?;
    blob.close()?;
    if bytes.len() == left {
        let sha256: [u8; 32] = conn
            .prepare_cached(queries::ANSWER_BODY_DIGEST)?
            .query_row([stored.row], |row| row.get(0))?;
        if sha256 != stored.sha256 {
            return Ok(None);
        }
    }
    Ok(Some(bytes.into()))
}

/// Reads an answer from column `at` on.
fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<Answer> {
    let (sha256, size) = (row.get(at + 5)?, row.get::<_, i64>(at + 6)?.unsigned_abs());
    let stored: Option<i64> = row.get(at + 8)?;
    let body = match (row.get_ref(at + 4)?.as_blob_or_null()?, stored) {
        (Some(body), _) => AnswerBody::Kept(Bytes::copy_from_slice(body)),
        (None, Some(_)) => AnswerBody::Stored(StoredBody { row: row.get(at + 9)?, sha256, size }),
        (None, None) => AnswerBody::Dropped { sha256, size },
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
