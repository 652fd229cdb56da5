//! Step 5: consume the lease with the outcome, before the agent can act on the answer.

mod recorder;
pub(crate) mod running;
pub(crate) mod stream;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Body as _;
use hyper::header::CONTENT_ENCODING;
use hyper::header::{TRAILER, TRANSFER_ENCODING};
use hyper::http::response::Parts;
use hyper::{HeaderMap, StatusCode};
use proxy_core::error::{Error, Sent};
use proxy_core::http::forms::kind::media_type;
use proxy_core::http::hop_by_hop;
use store::call::{AnswerBody, Finish};
use store::state::Knowledge;
use store::{Clock as _, SystemClock};

use crate::body::timed::Timed;
use crate::mcp::stream_reply;
use crate::steps::record::recorder::{Held, Recorder, hold, is_stream};
use crate::steps::record::running::{Facts, Running, finished, truncated};
use crate::steps::record::stream::flow;
use crate::steps::reply::Reply;
use crate::steps::respond::{live, problem};
use crate::upstream::response_body::FromUpstream;
use crate::upstream::send::Reached;

/// Records that no answer came, and tells the client so.
pub(crate) async fn failure(running: Running, error: Error) -> Reply {
    let (context, label) = (Arc::clone(&running.context), running.label.clone());
    let sent = error.sent();
    let finish = Finish {
        outcome: match sent {
            Sent::Never => Knowledge::NotExecuted,
            Sent::Maybe => Knowledge::Unknown,
        },
        tool_error: false,
        answer: None,
        error: Some(error.to_string()),
        problem: problem::as_stored(&error),
        sent_at: (sent == Sent::Maybe).then_some(running.sent_at),
        first_byte_at: None,
        last_event: error.to_string(),
    };
    match running.settle(finish).await {
        Ok(settled) => problem::unanswered(&context, &error, &settled, &label),
        Err(error) => problem::problem(&context, &error, Some(&label)),
    }
}

/// Records the upstream's answer and passes it on: whole where it is no stream, else as it comes,
/// with its end held until the outcome is committed.
pub(crate) async fn answer(running: Running, reached: Reached) -> Reply {
    let context = Arc::clone(&running.context);
    let received_at = SystemClock.now();
    let (mut head, incoming) = reached.response.into_parts();
    let length = incoming.size_hint().exact();
    let unverified = length.is_none()
        && !head.headers.contains_key(TRANSFER_ENCODING)
        && !reached.connection.tells_ends();
    let announced = head.headers.get(TRAILER).cloned();
    hop_by_hop::strip_response(&mut head.headers);
    let timed = Timed::new(incoming, head.version, context.config.timeouts.body_idle);
    let mut source = FromUpstream::new(timed, reached.connection);
    let mut recorder = Recorder::new(&context);
    let rule = running.label.rule.as_ref().map(|rule| &rule.given);
    let keeps = rule.is_none_or(|rule| rule.store_body);
    let facts = Facts::new(&head, received_at, unverified, keeps);
    if let Some(asker) = running.label.mcp.clone()
        && may_have_body(head.status)
        && may_hold_response(&head)
    {
        return stream_reply::flow(running, asker, head, facts, source, reached.took);
    }
    let stream = rule.and_then(|rule| rule.stream);
    // Whoever is told of an empty body has its end with the head, before anything is recorded.
    let flows = may_have_body(head.status) && length != Some(0);
    let end = if flows && stream.unwrap_or_else(|| is_stream(&head.headers)) {
        Held::Long(None)
    } else {
        hold(&mut recorder, &mut source).await
    };
    match end {
        Held::Whole(trailers) => {
            whole(running, head, facts, recorder, trailers, reached.took).await
        }
        Held::Broken(error) => broken(running, facts, recorder, &error).await,
        Held::Long(next) => {
            if let Some(announced) = announced {
                // hyper sends only the trailers that this field announces.
                head.headers.insert(TRAILER, announced);
            }
            flow(running, head, facts, length, recorder, source, next, reached.took)
        }
    }
}

/// Is the answer a stream of events that may hold the response.
fn may_hold_response(head: &Parts) -> bool {
    head.status.is_success()
        && !head.headers.contains_key(CONTENT_ENCODING)
        && media_type(&head.headers).is_some_and(|media| media.essence_str() == "text/event-stream")
}

/// RFC 9112, 6.3.
fn may_have_body(status: StatusCode) -> bool {
    !status.is_informational()
        && ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}

async fn whole(
    running: Running,
    head: Parts,
    facts: Facts,
    recorder: Recorder,
    trailers: Option<HeaderMap>,
    took: Duration,
) -> Reply {
    let (context, label) = (Arc::clone(&running.context), running.label.clone());
    let body = recorder.finish().await;
    let AnswerBody::Kept(bytes) = &body else {
        let lost = io::Error::other("the spooled answer could not be read back");
        return settle_broken(running, &facts, body, &lost).await;
    };
    let bytes = bytes.clone();
    let finish = finished(&running, &facts, body, trailers.as_ref());
    match running.settle(finish).await {
        Ok(settled) => live::answered(&context, head, bytes, trailers, &settled, &label, took),
        Err(error) => problem::problem(&context, &error, Some(&label)),
    }
}

async fn broken(running: Running, facts: Facts, recorder: Recorder, error: &io::Error) -> Reply {
    let body = recorder.finish().await;
    settle_broken(running, &facts, body, error).await
}

async fn settle_broken(
    running: Running,
    facts: &Facts,
    body: AnswerBody,
    error: &io::Error,
) -> Reply {
    let (context, label) = (Arc::clone(&running.context), running.label.clone());
    let (finish, told) = truncated(&running, facts, body, error);
    match running.settle(finish).await {
        Ok(settled) => problem::unanswered(&context, &told, &settled, &label),
        Err(error) => problem::problem(&context, &error, Some(&label)),
    }
}
