//! A proxied execution's output for the API: `{status, headers, body}`.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::Serialize;
use store_core::call::{Answer, AnswerBody, StoredBody};
use store_core::key::Digest;
use store_core::model::{Execution, Json, Origin};

use crate::sqlite::{answers, queries, rows};

/// The maximum size of a body in a list; larger ones are shown by digest and size.
pub(crate) const IN_LISTS: usize = 64 * 1024;
/// The maximum size of a body of a single execution: whatever is stored.
pub(crate) const WHOLE: usize = store_core::MAX_KEPT_BODY;

#[derive(Serialize)]
struct Output {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Json,
}

#[derive(Serialize)]
struct DigestOnly {
    sha256: String,
    size: u64,
}

/// Adds the upstream's answer to a proxied execution.
pub(crate) fn complete(
    conn: &Connection,
    (row, mut execution): (i64, Execution),
    limit: usize,
) -> rusqlite::Result<Execution> {
    if execution.origin == Origin::Proxy
        && let Some(answer) = answers::undecided(conn, row)?
    {
        execution.output = Some(Json::of(&Output {
            status: answer.status,
            headers: headers(&answer),
            body: body(&answers::whole(conn, answer.body.clone(), limit)?, &answer, limit),
        }));
    }
    Ok(execution)
}

/// The execution in an existing row, with its whole output.
pub(crate) fn whole(conn: &Connection, row: i64) -> rusqlite::Result<Execution> {
    let found = conn.prepare_cached(queries::EXECUTION_BY_ID)?.query_row([row], rows::execution)?;
    complete(conn, found, WHOLE)
}

/// Joins values of the same name by commas, as RFC 9110 section 5.3 allows.
fn headers(answer: &Answer) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &answer.headers {
        let value = String::from_utf8_lossy(value);
        headers
            .entry(name.to_ascii_lowercase())
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    headers
}

fn body(body: &AnswerBody, answer: &Answer, limit: usize) -> Json {
    match body {
        AnswerBody::Dropped { sha256, size }
        | AnswerBody::Stored(StoredBody { sha256, size, .. }) => {
            digest(Digest::from_bytes(*sha256), *size)
        }
        AnswerBody::Kept(bytes) if bytes.len() > limit => {
            digest(Digest::of(bytes), bytes.len() as u64)
        }
        AnswerBody::Kept(bytes) => match std::str::from_utf8(bytes) {
            Err(_) => digest(Digest::of(bytes), bytes.len() as u64),
            Ok(text) if is_json(answer) => Json::parse(text).unwrap_or_else(|_| Json::of(text)),
            Ok(text) => Json::of(text),
        },
    }
}

fn digest(sha256: Digest, size: u64) -> Json {
    Json::of(&DigestOnly { sha256: sha256.hex(32), size })
}

pub(crate) fn is_json(answer: &Answer) -> bool {
    answer.headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("content-type")
            && std::str::from_utf8(value).is_ok_and(|value| {
                let media = value.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
                media == "application/json" || media.ends_with("+json")
            })
    })
}
