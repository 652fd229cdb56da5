//! The columns of an upstream's answer, and the answer that the duplicates of a terminal execution get.

use std::sync::Arc;

use bytes::Bytes;
use store_core::call::{Answer, AnswerBody, Settled, StoredBody};
use store_core::key::{Digest, Encoder};
use store_core::state::{Knowledge, State};
use store_core::{MAX_HELD_BODY, MAX_KEPT_BODY};

use crate::decide::brief::Brief;

/// The row of an answer.
#[derive(Debug)]
pub(crate) struct AnswerRow<'a> {
    /// `None` if it is not stored.
    pub(crate) body: Option<&'a [u8]>,
    /// SHA-256 of the whole body.
    pub(crate) sha256: Digest,
    pub(crate) rest: Rest<String>,
}

/// The columns of an answer except its body, which may be dropped later.
#[derive(Debug)]
pub(crate) struct Rest<T> {
    pub(crate) status: u16,
    /// [`fields_text`] of the headers.
    pub(crate) headers: T,
    pub(crate) trailers: T,
    pub(crate) cookies: bool,
    /// The size of the whole body, in bytes.
    pub(crate) size: i64,
    /// In microseconds.
    pub(crate) received_at: i64,
}

impl<'a> AnswerRow<'a> {
    pub(super) fn of(answer: &'a Answer) -> Self {
        let (body, sha256, size) = match &answer.body {
            AnswerBody::Kept(body) => {
                let kept = Some(body.as_ref()).filter(|body: &&[u8]| body.len() <= MAX_KEPT_BODY);
                (kept, Digest::of(body), body.len() as u64)
            }
            AnswerBody::Dropped { sha256, size }
            | AnswerBody::Stored(StoredBody { sha256, size, .. }) => {
                (None, Digest::from_bytes(*sha256), *size)
            }
        };
        let rest = Rest {
            status: answer.status,
            headers: fields_text(&answer.headers),
            trailers: fields_text(&answer.trailers),
            cookies: answer.omitted_cookies,
            size: size as i64,
            received_at: answer.received_at.as_micros(),
        };
        Self { body, sha256, rest }
    }
}

/// An answer that is about to be stored in this row, as its duplicates get it.
pub(super) fn shared(answer: &Answer, stored: &AnswerRow<'_>, row: i64) -> Arc<Answer> {
    let body = match stored.body {
        Some(body) if body.len() > MAX_HELD_BODY => AnswerBody::Stored(StoredBody {
            row,
            sha256: *stored.sha256.as_bytes(),
            size: body.len() as u64,
        }),
        _ => answer.body.clone(),
    };
    Arc::new(Answer { body, ..answer.clone() })
}

impl<T: AsRef<str>> Rest<T> {
    /// A digest over all these columns.
    pub(crate) fn digest(&self) -> Digest {
        Encoder::new("answer/v1")
            .field(self.status.to_be_bytes())
            .field(self.headers.as_ref())
            .field(self.trailers.as_ref())
            .field([u8::from(self.cookies)])
            .field(self.size.to_be_bytes())
            .field(self.received_at.to_be_bytes())
            .finish()
    }
}

/// The outcome of a terminal execution, with its stored answer.
pub(crate) fn settled(execution: &Brief, answer: Option<Answer>) -> Settled {
    let answer = match execution.state {
        // The answer that arrived left the call in doubt: it is not the answer of a call that ran.
        State::Completed { decided: true, .. } => None,
        _ => answer.map(Arc::new),
    };
    Settled {
        execution_id: execution.id,
        attempt: execution.state.attempt(),
        outcome: execution.state.outcome().unwrap_or(Knowledge::Unknown),
        answer,
        error: execution.error.clone(),
        problem: None,
        doubt: None,
    }
}

/// Field values are bytes. Each byte becomes the character of the same number, so that nothing is lost.
fn fields_text(fields: &[(String, Bytes)]) -> String {
    let pairs: Vec<(&str, String)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.iter().map(|byte| char::from(*byte)).collect()))
        .collect();
    serde_json::to_string(&pairs).unwrap_or_else(|_| "[]".to_owned())
}

/// Parses a text that [`fields_text`] wrote.
pub(crate) fn fields(text: &str) -> Vec<(String, Bytes)> {
    let pairs: Vec<(String, String)> = serde_json::from_str(text).unwrap_or_default();
    pairs
        .into_iter()
        .map(|(name, value)| {
            (name, value.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect())
        })
        .collect()
}
