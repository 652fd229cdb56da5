//! Answers from the store, for the duplicates of a call.

use bytes::Bytes;
use hyper::ext::ReasonPhrase;
use hyper::header::{
    ACCEPT_ENCODING, AGE, CONTENT_LENGTH, HeaderName, HeaderValue, SET_COOKIE, TE,
};
use hyper::http::request;
use hyper::{HeaderMap, Response, StatusCode, Version};
use proxy_core::error::Error;
use proxy_core::http::hop_by_hop::add_via;
use proxy_core::http::trailers::strip_trailers;
use store::call::{Answer, AnswerBody, Sent, Settled, StoredBody};
use store::decision::Decision;
use store::key::Digest;
use store::state::Knowledge;
use store::{Clock as _, SystemClock};
use uuid::Uuid;

use super::fields::{REPLAYED, add_date, own_framing, with_trailers};
use super::wanted::Wanted;
use crate::body::pieces::WholeBody;
use crate::config::Outcome;
use crate::context::ProxyContext;
use crate::steps::label::{CallLabel, IdempotencyStatus};
use crate::steps::reply::Reply;

/// What a request says about the form of its answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct AnswerFormat {
    trailers: bool,
    codings: Vec<HeaderValue>,
}

impl AnswerFormat {
    pub(crate) fn of(head: &request::Parts) -> Self {
        let takes_trailers = head.headers.get_all(TE).iter().any(|value| {
            let mut codings = value.as_bytes().split(|byte| *byte == b',');
            codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
        });
        Self {
            // In HTTP/2 trailers need no announcement.
            trailers: takes_trailers || head.version == Version::HTTP_2,
            codings: head.headers.get_all(ACCEPT_ENCODING).iter().cloned().collect(),
        }
    }
}

/// Answers a duplicate with the outcome of its call. `decision`: it was replayed or coalesced.
pub(crate) async fn answer(
    context: &ProxyContext,
    settled: &Settled,
    decision: Decision,
    label: &CallLabel,
    format: &AnswerFormat,
) -> Result<Reply, Error> {
    let answer = answer_of(settled)?;
    let body = match &answer.body {
        AnswerBody::Kept(bytes) => WholeBody::Memory(bytes.clone()),
        AnswerBody::Stored(stored) => WholeBody::Stored(*stored),
        AnswerBody::Dropped { .. } => {
            return Err(not_kept(settled.execution_id, Some(answer)));
        }
    };
    let status = match settled.outcome {
        Knowledge::NotExecuted => IdempotencyStatus::because(Decision::NotExecuted, "coalesced"),
        Knowledge::Executed | Knowledge::Unknown => decision.into(),
    };
    let status = IdempotencyStatus { omitted_cookies: answer.omitted_cookies, ..status };
    Replay { answer, settled, status, label, format }.reply(context, body).await
}

/// The answer that the duplicates of a call get. An error if they get another one.
fn answer_of(settled: &Settled) -> Result<&Answer, Error> {
    match (settled.outcome, &settled.answer, &settled.problem) {
        (Knowledge::Unknown, answer, problem) => match (&settled.doubt, problem, answer) {
            (Some(doubt), ..) => Err(Error::InDoubt(doubt.clone())),
            (None, Some(problem), _) => Err(problem.into()),
            (None, None, Some(answer)) => Ok(answer),
            (None, None, None) => Err(Error::Internal),
        },
        (_, Some(answer), _) => Ok(answer),
        (_, None, Some(problem)) => Err(problem.into()),
        (Knowledge::NotExecuted, None, None) => Err(Error::Upstream {
            detail: settled.error.clone().unwrap_or_else(|| "the call was not sent".to_owned()),
            sent: Sent::Never,
        }),
        (Knowledge::Executed, None, None) => Err(not_kept(settled.execution_id, None)),
    }
}

/// A stored answer, and how it is given again.
struct Replay<'a> {
    answer: &'a Answer,
    settled: &'a Settled,
    status: IdempotencyStatus,
    label: &'a CallLabel,
    format: &'a AnswerFormat,
}

impl Replay<'_> {
    async fn reply(self, context: &ProxyContext, body: WholeBody) -> Result<Reply, Error> {
        let Self { answer, settled, status, label, format } = self;
        let (mut head, ()) = Response::new(()).into_parts();
        head.status = StatusCode::from_u16(answer.status).map_err(|_| Error::Internal)?;
        head.headers = header_map(&answer.headers);
        if let Some((_, reason)) = answer.headers.iter().find(|(name, _)| name == REASON)
            && let Ok(reason) = ReasonPhrase::try_from(&reason[..])
        {
            head.extensions.insert(reason);
        }
        add_via(&mut head.headers, &context.own.via);
        label.put(&mut head.headers, status);
        head.headers.insert(REPLAYED, HeaderValue::from_static("true"));
        let age = SystemClock.now().as_micros() - answer.received_at.as_micros();
        head.headers.insert(AGE, HeaderValue::from(age.max(0) / 1_000_000));
        add_date(&mut head.headers, answer.received_at);
        own_framing(&mut head);
        // An earlier version has stored them as they came.
        let mut trailers = header_map(&answer.trailers);
        strip_trailers(&mut trailers);
        let trailers = (format.trailers && !trailers.is_empty()).then_some(trailers);
        let wanted = Wanted {
            status: answer.status,
            codings: format.codings.clone(),
            caller: label.mcp.clone(),
        };
        let body = match wanted.form(context, &mut head.headers, body).await? {
            Ok(body) => body,
            Err(_) if settled.outcome == Knowledge::Executed => {
                return Err(not_kept(settled.execution_id, Some(answer)));
            }
            // What took no effect is asked for again: better unreadable than untrue.
            Err(as_it_is) => as_it_is,
        };
        correct_length(&mut head.headers, body.len());
        let body = with_trailers(context, &mut head.headers, body, trailers);
        let outcome = Outcome::Decided(status.decision);
        Ok(Reply::new(Response::from_parts(head, body), outcome, None))
    }
}

/// Makes a stored length that of the body: the tool's may be about another framing. The length of
/// an answer to HEAD is about another body.
fn correct_length(headers: &mut HeaderMap, length: u64) {
    if length > 0 && headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

fn not_kept(execution_id: Uuid, answer: Option<&Answer>) -> Error {
    let (sha256, size) = match answer.map(|answer| &answer.body) {
        Some(
            AnswerBody::Dropped { sha256, size }
            | AnswerBody::Stored(StoredBody { sha256, size, .. }),
        ) => (Digest::from_bytes(*sha256).hex(32), *size),
        Some(AnswerBody::Kept(body)) => (Digest::of(body).hex(32), body.len() as u64),
        None => (String::new(), 0),
    };
    let location = answer.and_then(|answer| {
        let field = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("location"));
        field.and_then(|(_, value)| String::from_utf8(value.to_vec()).ok())
    });
    let status = answer.map_or(0, |answer| answer.status);
    Error::NotKept { execution_id, status, sha256, size, location }
}

/// The fields that are kept of an answer: all but Set-Cookie.
pub(crate) fn stored_fields(headers: &HeaderMap) -> Vec<(String, Bytes)> {
    headers
        .iter()
        .filter(|(name, _)| *name != SET_COOKIE)
        .map(|(name, value)| (name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes())))
        .collect()
}

/// The name that a reason phrase is kept under among the fields. No field can have it.
const REASON: &str = ":reason";

/// A reason phrase as it is kept.
pub(crate) fn stored_reason(reason: &ReasonPhrase) -> (String, Bytes) {
    (REASON.to_owned(), Bytes::copy_from_slice(reason.as_bytes()))
}

/// Stored fields as a head has them. Entries that are not header fields are left out.
fn header_map(stored: &[(String, Bytes)]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(stored.len() + 8);
    for (name, value) in stored {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(value.clone())) {
            headers.append(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_length_is_that_of_the_body() {
        for (stored, body, want) in [
            (Some("3"), "0123456789", Some("10")),
            (Some("10"), "0123456789", Some("10")),
            (Some("4096"), "", Some("4096")),
            (None, "0123456789", None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(stored) = stored {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static(stored));
            }
            correct_length(&mut headers, body.len() as u64);
            let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
            assert_eq!(length, want);
        }
    }
}
