//! The upstream's own answers, as they pass.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONNECTION, HeaderValue, TRAILER, UPGRADE};
use hyper::http::response::Parts;
use hyper::{HeaderMap, Response};
use proxy_core::http::hop_by_hop;
use store::call::Settled;
use store::state::Knowledge;
use store::{Clock as _, SystemClock};

use crate::body::stream::Body;
use crate::context::ProxyContext;
use crate::steps::label::Label;
use crate::steps::reply::Reply;
use crate::steps::respond::fields::{self, IDEMPOTENCY_STATUS};
use crate::upstream::send::Reached;

/// The answer of something that is not guarded. `told`: why, unless it only reads.
pub(crate) fn passed(
    context: &ProxyContext,
    mut head: Parts,
    body: Body,
    told: Option<&str>,
    took: Duration,
) -> Reply {
    let trailer = head.headers.get(TRAILER).cloned();
    hop_by_hop::strip_response(&mut head.headers);
    if let Some(trailer) = trailer {
        head.headers.insert(TRAILER, trailer);
    }
    hop_by_hop::add_via(&mut head.headers, &context.via);
    if let Some(reason) = told {
        let status = Label::default().status("bypassed", Some(reason), false);
        head.headers.insert(IDEMPOTENCY_STATUS, status);
    }
    fields::own_framing(&mut head);
    let decision = if told.is_some() { "bypassed" } else { "passed" };
    Reply { response: Response::from_parts(head, body), decision, upstream: Some(took) }
}

/// Both sides have agreed to speak something else.
pub(crate) fn switching(context: &ProxyContext, reached: Reached) -> Reply {
    let (mut head, _) = reached.response.into_parts();
    let protocol = head.headers.get(UPGRADE).cloned();
    hop_by_hop::strip_response(&mut head.headers);
    head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        head.headers.insert(UPGRADE, protocol);
    }
    hop_by_hop::add_via(&mut head.headers, &context.via);
    let status = Label::default().status("bypassed", Some("upgrade"), false);
    head.headers.insert(IDEMPOTENCY_STATUS, status);
    let response = Response::from_parts(head, Body::empty());
    Reply { response, decision: "bypassed", upstream: Some(reached.took) }
}

/// The upstream's whole answer, to the caller that had it executed.
pub(crate) fn answered(
    context: &ProxyContext,
    mut head: Parts,
    body: Bytes,
    trailers: Option<HeaderMap>,
    settled: &Settled,
    label: &Label,
    took: Duration,
) -> Reply {
    let (word, reason) = match (settled.outcome, &settled.doubt) {
        (Knowledge::Executed, _) => ("executed", None),
        (Knowledge::NotExecuted, _) => ("not-executed", None),
        (Knowledge::Unknown, Some(_)) => ("in-doubt", None),
        (Knowledge::Unknown, None) => ("in-doubt", Some("idempotent")),
    };
    hop_by_hop::add_via(&mut head.headers, &context.via);
    label.put(&mut head.headers, word, reason, false);
    if let Some(doubt) = &settled.doubt {
        fields::in_doubt(&mut head.headers, &label.tells(doubt));
    }
    let received_at = settled.answer.as_ref().map_or_else(|| SystemClock.now(), |a| a.received_at);
    fields::date(&mut head.headers, received_at);
    fields::own_framing(&mut head);
    let body = fields::with_trailers(&mut head.headers, body, trailers);
    Reply { response: Response::from_parts(head, body), decision: word, upstream: Some(took) }
}

/// The head of an answer that flows; its outcome is not known yet.
pub(crate) fn flowing(
    context: &ProxyContext,
    mut head: Parts,
    body: Body,
    label: &Label,
    took: Duration,
) -> Reply {
    hop_by_hop::add_via(&mut head.headers, &context.via);
    label.put(&mut head.headers, "executing", None, false);
    fields::date(&mut head.headers, SystemClock.now());
    fields::own_framing(&mut head);
    Reply { response: Response::from_parts(head, body), decision: "executed", upstream: Some(took) }
}
