//! Upstreams' answers in their rows.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};
use store_core::MAX_KEPT_BODY;
use store_core::call::{Answer, AnswerBody, Settled};
use store_core::key::{Digest, Encoder};
use store_core::state::{Knowledge, State};

use crate::sqlite::queries;
use crate::sqlite::rows::{self, Brief};

/// What the log keeps of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digests {
    /// SHA-256 of the body.
    pub(crate) body: Digest,
    /// A digest over the other columns.
    pub(crate) rest: Digest,
    /// The body itself is there.
    pub(crate) kept: bool,
}

/// Writes an answer.
pub(crate) fn put(conn: &Connection, execution: i64, answer: &Answer) -> rusqlite::Result<Digests> {
    let (body, digest, size) = match &answer.body {
        AnswerBody::Kept(body) if body.len() <= MAX_KEPT_BODY => {
            (Some(body.as_ref()), Digest::of(body), body.len() as u64)
        }
        AnswerBody::Kept(body) => (None, Digest::of(body), body.len() as u64),
        AnswerBody::Dropped { sha256, size } => (None, Digest::from_bytes(*sha256), *size),
    };
    let rest = Rest {
        status: answer.status,
        headers: &fields_text(&answer.headers),
        trailers: &fields_text(&answer.trailers),
        cookies: answer.omitted_cookies,
        size: size as i64,
        received_at: answer.received_at.as_micros(),
    };
    conn.prepare_cached(queries::ANSWER_PUT)?.execute(params![
        execution,
        rest.status,
        rest.headers,
        rest.trailers,
        rest.cookies,
        body,
        digest.as_bytes(),
        rest.size,
        rest.received_at,
    ])?;
    Ok(Digests { body: digest, rest: rest.digest(), kept: body.is_some() })
}

/// The columns of an answer without its body, which may be dropped later.
pub(crate) struct Rest<'a> {
    pub(crate) status: u16,
    pub(crate) headers: &'a str,
    pub(crate) trailers: &'a str,
    pub(crate) cookies: bool,
    pub(crate) size: i64,
    pub(crate) received_at: i64,
}

impl Rest<'_> {
    pub(crate) fn digest(&self) -> Digest {
        Encoder::new("answer/v1")
            .field(self.status.to_be_bytes())
            .field(self.headers)
            .field(self.trailers)
            .field([u8::from(self.cookies)])
            .field(self.size.to_be_bytes())
            .field(self.received_at.to_be_bytes())
            .finish()
    }
}

/// The answer of an execution, where one is stored.
pub(crate) fn get(conn: &Connection, execution: i64) -> rusqlite::Result<Option<Answer>> {
    conn.prepare_cached(queries::ANSWER)?.query_row([execution], |row| read(row, 0)).optional()
}

/// The same, where no person decided what became of the call.
pub(crate) fn undecided(conn: &Connection, execution: i64) -> rusqlite::Result<Option<Answer>> {
    conn.prepare_cached(queries::ANSWER_UNDECIDED)?
        .query_row([execution], |row| read(row, 0))
        .optional()
}

/// The execution that holds a key, free or not, and its answer.
pub(crate) fn of_holder(
    conn: &Connection,
    key: &[u8; 24],
) -> rusqlite::Result<Option<(Brief, Option<Answer>)>> {
    conn.prepare_cached(queries::BRIEF_AND_ANSWER_BY_KEY)?
        .query_row([key], |row| {
            let execution = rows::brief(row)?;
            let answer = match row.get_ref(rows::BEHIND_BRIEF)? {
                ValueRef::Null => None,
                _ => Some(read(row, rows::BEHIND_BRIEF)?),
            };
            Ok((execution, answer))
        })
        .optional()
}

/// An answer from column `at` on.
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

/// How a terminal execution ended, with what was answered.
pub(crate) fn settled(execution: &Brief, answer: Option<Answer>) -> Settled {
    let answer = match execution.state {
        // What came back left the call in doubt: it is no answer of a call that ran.
        State::Completed { decided: true, .. } => None,
        _ => answer.map(Arc::new),
    };
    Settled {
        execution_id: execution.uuid,
        attempt: execution.state.attempt(),
        outcome: execution.state.outcome().unwrap_or(Knowledge::Unknown),
        answer,
        error: execution.error.clone(),
        problem: None,
        doubt: None,
    }
}

/// Field values are bytes; each becomes the character of its number, so that nothing is lost.
fn fields_text(fields: &[(String, Bytes)]) -> String {
    let pairs: Vec<(&str, String)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.iter().map(|byte| char::from(*byte)).collect()))
        .collect();
    serde_json::to_string(&pairs).unwrap_or_else(|_| "[]".to_owned())
}

fn fields(text: &str) -> Vec<(String, Bytes)> {
    let pairs: Vec<(String, String)> = serde_json::from_str(text).unwrap_or_default();
    pairs
        .into_iter()
        .map(|(name, value)| {
            (name, value.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect())
        })
        .collect()
}
