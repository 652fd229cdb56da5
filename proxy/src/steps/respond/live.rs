//! The upstream's own answers, as they pass.

use std::time::Duration;

use hyper::Response;
use hyper::header::{CONNECTION, HeaderValue, TRAILER, UPGRADE};
use hyper::http::response;
use proxy_core::http::hop_by_hop::{add_via, strip_response};
use proxy_core::http::trailers::announced_trailers;
use proxy_core::policy::decision::PassReason;
use store::decision::Decision;
use store::state::Knowledge;
use store::{Clock as _, SystemClock};

use super::fields::{
    add_date, add_doubt, own_framing, remove_retry, support_logins, with_trailers,
};
use crate::body::reply::ReplyBody;
use crate::config::Outcome;
use crate::steps::exchange::Exchange;
use crate::steps::label::{CallLabel, IdempotencyStatus};
use crate::steps::reply::Reply;
use crate::steps::states::Answered;
use crate::upstream::send::AnswerHead;

/// The answer to a request that is not guarded.
pub(crate) struct PassedAnswer {
    pub(crate) head: response::Parts,
    pub(crate) body: ReplyBody,
    /// From the dispatch to the head of the answer.
    pub(crate) took: Duration,
}

/// The answer to a request that is not guarded. The client gets the reason, unless the request only
/// reads.
pub(crate) fn passed(via: &HeaderValue, passed: PassedAnswer, reason: &PassReason) -> Reply {
    let PassedAnswer { mut head, body, took } = passed;
    let trailer = announced_trailers(&head.headers);
    strip_response(&mut head.headers);
    if let Some(trailer) = trailer {
        head.headers.insert(TRAILER, trailer);
    }
    add_via(&mut head.headers, via);
    support_logins(&mut head);
    let decision = match reason.bypass() {
        None => Decision::Passed,
        Some(reason) => {
            let status = IdempotencyStatus::because(Decision::Bypassed, reason);
            CallLabel::default().put(&mut head.headers, status);
            Decision::Bypassed
        }
    };
    own_framing(&mut head);
    Reply::new(Response::from_parts(head, body), Outcome::Decided(decision), Some(took))
}

/// Both sides have agreed to speak another protocol.
pub(crate) fn switching(via: &HeaderValue, answer: AnswerHead) -> Reply {
    let (mut head, _) = answer.response.into_parts();
    let protocol = head.headers.get(UPGRADE).cloned();
    strip_response(&mut head.headers);
    head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        head.headers.insert(UPGRADE, protocol);
    }
    add_via(&mut head.headers, via);
    let status = IdempotencyStatus::because(Decision::Bypassed, "upgrade");
    CallLabel::default().put(&mut head.headers, status);
    let response = Response::from_parts(head, ReplyBody::empty());
    Reply::new(response, Outcome::Decided(Decision::Bypassed), Some(answer.took))
}

/// The upstream's whole answer, to the caller whose call it is.
pub(super) fn answered(exchange: &Exchange<()>, answered: Answered) -> Reply {
    let Answered { mut head, body, mut trailers, settled, took } = answered;
    let status = match (settled.outcome, &settled.doubt) {
        (Knowledge::Executed, _) => Decision::Executed.into(),
        (Knowledge::NotExecuted, _) => Decision::NotExecuted.into(),
        (Knowledge::Unknown, Some(_)) => Decision::InDoubt.into(),
        (Knowledge::Unknown, None) => IdempotencyStatus::because(Decision::InDoubt, "idempotent"),
    };
    add_via(&mut head.headers, &exchange.context.own.via);
    support_logins(&mut head);
    exchange.label.put(&mut head.headers, status);
    if let Some(doubt) = &settled.doubt {
        add_doubt(&mut head.headers, &exchange.label.visible(doubt));
        trailers.iter_mut().for_each(remove_retry);
    }
    let received_at = settled.answer.as_ref().map_or_else(|| SystemClock.now(), |a| a.received_at);
    add_date(&mut head.headers, received_at);
    own_framing(&mut head);
    let body = with_trailers(&exchange.context, &mut head.headers, body, trailers);
    let outcome = Outcome::Decided(status.decision);
    Reply::new(Response::from_parts(head, body), outcome, Some(took))
}

/// The head of an answer that flows. Its outcome is not known yet.
pub(super) fn streaming(
    exchange: &Exchange<()>,
    mut head: response::Parts,
    body: ReplyBody,
    took: Duration,
) -> Reply {
    add_via(&mut head.headers, &exchange.context.own.via);
    exchange.label.put(&mut head.headers, Decision::Executing);
    add_date(&mut head.headers, SystemClock.now());
    own_framing(&mut head);
    let outcome = Outcome::Decided(Decision::Executed);
    Reply::new(Response::from_parts(head, body), outcome, Some(took))
}
