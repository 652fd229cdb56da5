//! Answers whose head is there.

use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Body as _;
use hyper::header::{CONTENT_ENCODING, HeaderValue, TRANSFER_ENCODING};
use hyper::http::response;
use proxy_core::http::forms::kind::media_type;
use proxy_core::http::hop_by_hop::strip_response;
use proxy_core::http::trailers::announced_trailers;
use store::{Clock as _, SystemClock};

use super::facts::AnswerFacts;
use crate::body::incoming::IncomingBody;
use crate::steps::label::CallLabel;
use crate::upstream::response_body::UpstreamBody;
use crate::upstream::send::AnswerHead;

/// An answer whose head is there.
pub(super) struct Begun {
    /// As the client gets it.
    pub(super) head: response::Parts,
    pub(super) facts: AnswerFacts,
    pub(super) source: UpstreamBody,
    /// The length of the body, if it is known.
    pub(super) length: Option<u64>,
    /// The field `Trailer`, as far as it may be passed on.
    pub(super) announced: Option<HeaderValue>,
}

impl Begun {
    /// `silence`: how long the upstream may be silent.
    pub(super) fn of(label: &CallLabel, answer: AnswerHead, silence: Duration) -> Self {
        let received_at = SystemClock.now();
        let (mut head, incoming) = answer.response.into_parts();
        let length = incoming.size_hint().exact();
        let unverified = length.is_none()
            && !head.headers.contains_key(TRANSFER_ENCODING)
            && !answer.connection.marks_ends();
        let announced = announced_trailers(&head.headers);
        strip_response(&mut head.headers);
        let facts = AnswerFacts {
            status: head.status.as_u16(),
            headers: head.headers.clone(),
            reason: head.extensions.get().cloned(),
            received_at,
            unverified,
            keeps_body: label.rule.as_ref().is_none_or(|rule| rule.answer.store_body),
        };
        let incoming = IncomingBody::new(incoming, head.version, silence);
        let source = UpstreamBody::new(incoming, answer.connection);
        Self { head, facts, source, length, announced }
    }
}

/// Whether an answer of this status may have a body (RFC 9112, 6.3).
pub(super) fn may_have_body(status: StatusCode) -> bool {
    !status.is_informational()
        && ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}

/// Whether the answer is a stream of events that may hold the response to a tool call.
pub(super) fn may_hold_response(head: &response::Parts) -> bool {
    head.status.is_success()
        && may_have_body(head.status)
        && !head.headers.contains_key(CONTENT_ENCODING)
        && media_type(&head.headers).is_some_and(|media| media.essence_str() == "text/event-stream")
}
