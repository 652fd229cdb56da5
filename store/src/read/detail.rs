//! One execution with everything that is stored of it, long texts cut.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;
use store_core::Error;
use store_core::call::{Answer, AnswerBody, StoredBody};
use store_core::key::Digest;
use store_core::model::{AnswerDetail, Excerpt, ExecutionDetail, Json, Origin, RequestDetail};
use uuid::Uuid;

use crate::read::reader::Reader;
use crate::read::{output, search};
use crate::sqlite::{answers, queries, rows};

/// How many events are shown.
const MAX_EVENTS: i64 = 500;

/// The stored request of a proxied call, as the proxy wrote it.
#[derive(Deserialize)]
struct StoredRequest {
    method: String,
    url: String,
    headers: Json,
    body: Json,
}

/// The placeholder of a body that is not stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotKept {
    sha256: String,
    size: u64,
}

impl Reader {
    /// The execution of an id with its request, answer and events. Each text is cut at `limit` bytes.
    pub fn execution_detail(&self, id: Uuid, limit: usize) -> Result<ExecutionDetail, Error> {
        self.snapshot(|conn| {
            let found = conn
                .prepare_cached(queries::SUMMARY_BY_UUID)?
                .query_row([id.as_bytes()], rows::execution_summary)
                .optional()?;
            let (row, mut summary) =
                found.ok_or_else(|| Error::NotFound { what: "execution", id: id.to_string() })?;
            search::add_events(conn, row, &mut summary)?;
            let texts = conn.prepare_cached(queries::EXECUTION_TEXTS)?.query_row([row], |row| {
                Ok(Texts {
                    input: row.get(0)?,
                    output: row.get(1)?,
                    username: row.get(2)?,
                    session_name: row.get(3)?,
                    goal_title: row.get(4)?,
                })
            })?;
            let proxied = summary.origin == Origin::Proxy;
            let request: Option<StoredRequest> =
                proxied.then(|| serde_json::from_str(&texts.input).ok()).flatten();
            let events = conn
                .prepare_cached(queries::EVENTS_OF_EXECUTION)?
                .query_map(params![0, MAX_EVENTS, id.as_bytes()], rows::event)?
                .collect::<rusqlite::Result<_>>()?;
            let answer = if proxied {
                let answer = answers::get(conn, row)?;
                answer.map(|answer| answer_detail(conn, &answer, limit)).transpose()?
            } else {
                None
            };
            Ok(ExecutionDetail {
                summary,
                username: texts.username,
                session_name: texts.session_name,
                goal_title: texts.goal_title,
                answered: answered(conn, row)?,
                input: request.is_none().then(|| of_json(&texts.input, limit)),
                request: request.map(|request| RequestDetail {
                    method: request.method,
                    url: request.url,
                    headers: request.headers,
                    body: of_body(&request.body, limit),
                }),
                answer,
                output: texts.output.as_deref().map(|text| of_json(text, limit)),
                events,
            })
        })
    }
}

struct Texts {
    input: String,
    output: Option<String>,
    username: String,
    session_name: Option<String>,
    goal_title: String,
}

fn answered(conn: &Connection, row: i64) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    for noted in search::noted(conn, row)? {
        for (answered, count) in noted.answered {
            *all.entry(answered).or_default() += count;
        }
    }
    Ok(all)
}

fn answer_detail(
    conn: &Connection,
    answer: &Answer,
    limit: usize,
) -> rusqlite::Result<AnswerDetail> {
    let fields = |fields: &[(String, bytes::Bytes)]| {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        fields.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    };
    Ok(AnswerDetail {
        status: answer.status,
        headers: fields(&answer.headers),
        trailers: fields(&answer.trailers),
        cookies_omitted: answer.omitted_cookies,
        received_at: answer.received_at,
        body: match &answers::whole(conn, answer.body.clone(), output::WHOLE)? {
            AnswerBody::Dropped { sha256, size }
            | AnswerBody::Stored(StoredBody { sha256, size, .. }) => {
                not_kept(Digest::from_bytes(*sha256).hex(32), *size)
            }
            AnswerBody::Kept(bytes) => match std::str::from_utf8(bytes) {
                Err(_) => not_kept(Digest::of(bytes).hex(32), bytes.len() as u64),
                Ok(text) => Excerpt {
                    sha256: Some(Digest::of(bytes).hex(32)),
                    ..of_text(text, format_of(answer), limit)
                },
            },
        },
    })
}

/// The body of a proxied call: JSON, a JSON string that holds plain text, or a digest.
fn of_body(body: &Json, limit: usize) -> Option<Excerpt> {
    if body.as_str() == "null" {
        return None;
    }
    if let Ok(NotKept { sha256, size }) = body.decode() {
        return Some(not_kept(sha256, size));
    }
    Some(match body.decode::<String>() {
        Ok(text) => of_text(&text, Format::Text, limit),
        Err(_) => of_json(body.as_str(), limit),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Text,
}

fn format_of(answer: &Answer) -> Format {
    if output::is_json(answer) { Format::Json } else { Format::Text }
}

fn of_json(text: &str, limit: usize) -> Excerpt {
    of_text(text, Format::Json, limit)
}

fn of_text(text: &str, format: Format, limit: usize) -> Excerpt {
    let end = text.floor_char_boundary(limit);
    Excerpt {
        text: Some(text[..end].to_owned()),
        json: format == Format::Json,
        cut: end < text.len(),
        size: text.len() as u64,
        sha256: None,
    }
}

fn not_kept(sha256: String, size: u64) -> Excerpt {
    Excerpt { text: None, json: false, cut: false, size, sha256: Some(sha256) }
}
