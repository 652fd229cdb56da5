//! Answers from the store, for the duplicates of a call.

use bytes::Bytes;
use hyper::ext::ReasonPhrase;
use hyper::header::{
    ACCEPT_ENCODING, AGE, CONTENT_LENGTH, HeaderName, HeaderValue, SET_COOKIE, TE,
};
use hyper::http::request;
use hyper::{HeaderMap, Response, StatusCode, Version};
use proxy_core::error::{Error, Sent};
use proxy_core::http::hop_by_hop;
use store::call::{Answer, AnswerBody, Settled};
use store::state::Knowledge;
use store::{Clock as _, SystemClock};
use uuid::Uuid;

use crate::context::ProxyContext;
use crate::steps::label::Label;
use crate::steps::reply::Reply;
use crate::steps::respond::fields::{self, REPLAYED};
use crate::steps::respond::problem::{self};
use crate::steps::respond::recode;

/// How a duplicate came by the stored answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duplicate {
    /// The call was over.
    Replayed,
    /// It waited for the call.
    Coalesced,
}

/// What a request says about the form of its answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wants {
    trailers: bool,
    codings: Vec<HeaderValue>,
}

impl Wants {
    pub(crate) fn of(head: &request::Parts) -> Self {
        let takes_trailers = head.headers.get_all(TE).iter().any(|value| {
            let mut codings = value.as_bytes().split(|byte| *byte == b',');
            codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
        });
        Self {
            // In HTTP/2 they need no announcement.
            trailers: takes_trailers || head.version == Version::HTTP_2,
            codings: head.headers.get_all(ACCEPT_ENCODING).iter().cloned().collect(),
        }
    }
}

/// What the call's outcome is to a duplicate of it.
pub(crate) fn duplicate(
    context: &ProxyContext,
    settled: &Settled,
    how: Duplicate,
    label: &Label,
    wants: &Wants,
) -> Result<Reply, Error> {
    if settled.outcome == Knowledge::Unknown {
        return Err(match (&settled.doubt, &settled.problem) {
            (Some(doubt), _) => Error::InDoubt(doubt.clone()),
            (None, Some(problem)) => problem::as_error(problem),
            (None, None) => match &settled.answer {
                Some(answer) => return replay(context, settled, answer, how, label, wants),
                None => Error::Internal,
            },
        });
    }
    match (&settled.answer, &settled.problem) {
        (Some(answer), _) => replay(context, settled, answer, how, label, wants),
        (None, Some(problem)) => Err(problem::as_error(problem)),
        (None, None) if settled.outcome == Knowledge::NotExecuted => Err(Error::Upstream {
            detail: settled.error.clone().unwrap_or_else(|| "the call was not sent".to_owned()),
            sent: Sent::Never,
        }),
        (None, None) => Err(not_kept(settled.execution_id, None)),
    }
}

fn replay(
    context: &ProxyContext,
    settled: &Settled,
    answer: &Answer,
    how: Duplicate,
    label: &Label,
    wants: &Wants,
) -> Result<Reply, Error> {
    let AnswerBody::Kept(body) = &answer.body else {
        return Err(not_kept(settled.execution_id, Some(answer)));
    };
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = StatusCode::from_u16(answer.status).map_err(|_| Error::Internal)?;
    head.headers = header_map(&answer.headers);
    if let Some((_, reason)) = answer.headers.iter().find(|(name, _)| name == REASON)
        && let Ok(reason) = ReasonPhrase::try_from(&reason[..])
    {
        head.extensions.insert(reason);
    }
    hop_by_hop::add_via(&mut head.headers, &context.via);
    let (word, reason) = match (settled.outcome, how) {
        (Knowledge::NotExecuted, _) => ("not-executed", Some("coalesced")),
        (_, Duplicate::Replayed) => ("replayed", None),
        (_, Duplicate::Coalesced) => ("coalesced", None),
    };
    label.put(&mut head.headers, word, reason, answer.omitted_cookies);
    head.headers.insert(REPLAYED, HeaderValue::from_static("true"));
    let age = SystemClock.now().as_micros() - answer.received_at.as_micros();
    head.headers.insert(AGE, HeaderValue::from(age.max(0) / 1_000_000));
    fields::date(&mut head.headers, answer.received_at);
    fields::own_framing(&mut head);
    let trailers =
        (wants.trailers && !answer.trailers.is_empty()).then(|| header_map(&answer.trailers));
    let replayed =
        label.mcp.as_ref().and_then(|asker| asker.replayed(answer.status, &mut head.headers, body));
    let body = match replayed {
        Some(body) => body,
        None => recode::acceptable(&mut head.headers, body, &wants.codings),
    };
    measure(&mut head.headers, &body);
    let body = fields::with_trailers(&mut head.headers, body, trailers);
    Ok(Reply { response: Response::from_parts(head, body), decision: word, upstream: None })
}

/// Makes a length that was kept that of the body: what a tool had told may have been about another
/// framing. What a HEAD tells is about another body.
fn measure(headers: &mut HeaderMap, body: &Bytes) {
    if !body.is_empty() && headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
}

fn not_kept(execution_id: Uuid, answer: Option<&Answer>) -> Error {
    let (sha256, size) = match answer.map(|answer| &answer.body) {
        Some(AnswerBody::Dropped { sha256, size }) => {
            (store::key::Digest::from_bytes(*sha256).hex(32), *size)
        }
        _ => (String::new(), 0),
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

/// The name under which a reason phrase is kept among the fields; no field can have it.
const REASON: &str = ":reason";

/// A reason phrase as it is kept.
pub(crate) fn stored_reason(reason: &ReasonPhrase) -> (String, Bytes) {
    (REASON.to_owned(), Bytes::copy_from_slice(reason.as_bytes()))
}

/// As a head has them; what is no field is left out.
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
        for (told, body, want) in [
            (Some("3"), "0123456789", Some("10")),
            (Some("10"), "0123456789", Some("10")),
            (Some("4096"), "", Some("4096")),
            (None, "0123456789", None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(told) = told {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static(told));
            }
            measure(&mut headers, &Bytes::from_static(body.as_bytes()));
            let told = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
            assert_eq!(told, want);
        }
    }
}
