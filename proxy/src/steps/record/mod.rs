//! Step 5: consume the lease with the outcome, before the agent can act on the answer.

mod flow;
mod mcp;
mod recorder;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body as _;
use hyper::ext::ReasonPhrase;
use hyper::header::{TRAILER, TRANSFER_ENCODING};
use hyper::http::response::Parts;
use hyper::{HeaderMap, StatusCode};
use store::call::{Answer, AnswerBody, Finish, Settled};
use store::key::Digest;
use store::model::{EffectClass, Timestamp};
use store::state::Knowledge;
use store::{Clock as _, Lease, SystemClock};
use tokio::sync::OwnedSemaphorePermit;

use self::flow::flow;
use self::recorder::{Held, Recorder, hold, is_stream};
use crate::Shared;
use crate::body::{FromUpstream, Timed};
use crate::claim::Prepared;
use crate::error::{Error, Sent};
use crate::failpoint;
use crate::forward::Reached;
use crate::headers;
use crate::policy::outcome;
use crate::request::Target;
use crate::respond::{self, Label, Reply};

/// A claimed call whose outcome is not recorded yet.
#[derive(Debug)]
pub(crate) struct Running {
    shared: Arc<Shared>,
    lease: Lease,
    label: Label,
    target: Target,
    class: EffectClass,
    sent_at: Timestamp,
    /// Among the guarded calls in flight, to the end of its answer.
    _place: OwnedSemaphorePermit,
}

impl Running {
    /// The call is about to be dispatched.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        lease: Lease,
        prepared: &Prepared,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let label = Label {
            key: prepared.label.key.clone(),
            execution_id: Some(lease.execution_id()),
            attempt: lease.attempt(),
            rule: prepared.label.rule.clone(),
            mcp: prepared.label.mcp.clone(),
        };
        Self {
            shared: Arc::clone(shared),
            lease,
            label,
            target: prepared.target.clone(),
            class: prepared.class,
            sent_at: SystemClock.now(),
            _place: place,
        }
    }

    /// Writes the outcome down. When it cannot be, what the tool did is known to nobody but the
    /// caller, who must not take it for recorded: it gets no answer of the tool.
    async fn settle(self, finish: Finish) -> Result<Arc<Settled>, Error> {
        failpoint::hit("before-commit");
        let execution_id = self.lease.execution_id();
        let tool_error = finish.tool_error;
        let Self { shared, lease, label, .. } = self;
        let settled = shared.config.store.finish(lease, finish).await;
        failpoint::hit("before-reply");
        let settled = settled.inspect(|settled| {
            if tool_error {
                mcp::undelivered(&shared, &label, settled);
            }
        });
        settled.map_err(|error| {
            tracing::error!(%error, %execution_id, "outcome not recorded");
            Error::Upstream {
                detail: "the tool answered, but its answer could not be recorded".to_owned(),
                sent: Sent::Maybe,
            }
        })
    }
}

/// Records that no answer came, and tells the client so.
pub(crate) async fn failure(running: Running, error: Error) -> Reply {
    let (shared, label) = (Arc::clone(&running.shared), running.label.clone());
    let sent = error.sent();
    let finish = Finish {
        outcome: match sent {
            Sent::Never => Knowledge::NotExecuted,
            Sent::Maybe => Knowledge::Unknown,
        },
        tool_error: false,
        answer: None,
        error: Some(error.to_string()),
        problem: respond::as_stored(&error),
        sent_at: (sent == Sent::Maybe).then_some(running.sent_at),
        first_byte_at: None,
        last_event: error.to_string(),
    };
    match running.settle(finish).await {
        Ok(settled) => respond::unanswered(&shared, &error, &settled, &label),
        Err(error) => respond::problem(&shared, &error, Some(&label)),
    }
}

/// Records the upstream's answer and passes it on: whole where it is no stream, else as it comes,
/// with its end held until the outcome is committed.
pub(crate) async fn answer(running: Running, reached: Reached) -> Reply {
    let shared = Arc::clone(&running.shared);
    let received_at = SystemClock.now();
    let (mut head, incoming) = reached.response.into_parts();
    let length = incoming.size_hint().exact();
    let unverified = length.is_none()
        && !head.headers.contains_key(TRANSFER_ENCODING)
        && !reached.connection.tells_ends();
    let announced = head.headers.get(TRAILER).cloned();
    headers::strip_response(&mut head.headers);
    let timed = Timed::new(incoming, head.version, shared.config.timeouts.body_idle);
    let mut source = FromUpstream::new(timed, reached.connection);
    let mut recorder = Recorder::new(&shared);
    let rule = running.label.rule.as_ref().map(|rule| &rule.given);
    let keeps = rule.is_none_or(|rule| rule.store_body);
    let facts = Facts::new(&head, received_at, unverified, keeps);
    if let Some(asker) = running.label.mcp.clone()
        && may_have_body(head.status)
        && mcp::may_hold_response(&head)
    {
        return mcp::flow(running, asker, head, facts, source, reached.took);
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

/// RFC 9112, 6.3.
fn may_have_body(status: StatusCode) -> bool {
    !status.is_informational()
        && ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}

/// What is kept of the head of an answer.
#[derive(Debug)]
struct Facts {
    status: u16,
    headers: HeaderMap,
    /// Where it is not the status's own.
    reason: Option<ReasonPhrase>,
    received_at: Timestamp,
    /// Nothing but the end of the connection tells that the body is whole.
    unverified: bool,
    /// The body is kept, and not its digest alone.
    keeps: bool,
}

impl Facts {
    fn new(head: &Parts, received_at: Timestamp, unverified: bool, keeps: bool) -> Self {
        Self {
            status: head.status.as_u16(),
            headers: head.headers.clone(),
            reason: head.extensions.get().cloned(),
            received_at,
            unverified,
            keeps,
        }
    }

    fn answer(&self, body: AnswerBody, trailers: Option<&HeaderMap>) -> Answer {
        let mut kept = respond::stored_fields(&self.headers);
        let omitted_cookies = kept.len() < self.headers.len();
        kept.extend(self.reason.as_ref().map(respond::stored_reason));
        Answer {
            status: self.status,
            omitted_cookies,
            headers: kept,
            body: if self.keeps { body } else { digest_of(body) },
            trailers: trailers.map(respond::stored_fields).unwrap_or_default(),
            received_at: self.received_at,
        }
    }
}

/// What is left of a body that a rule keeps out of the store.
fn digest_of(body: AnswerBody) -> AnswerBody {
    match body {
        AnswerBody::Kept(bytes) => {
            AnswerBody::Dropped { sha256: *Digest::of(&bytes).as_bytes(), size: bytes.len() as u64 }
        }
        dropped @ AnswerBody::Dropped { .. } => dropped,
    }
}

/// The finish of a call whose answer came whole.
fn finished(
    running: &Running,
    facts: &Facts,
    body: AnswerBody,
    trailers: Option<&HeaderMap>,
) -> Finish {
    let bytes = match &body {
        AnswerBody::Kept(bytes) => Some(&bytes[..]),
        AnswerBody::Dropped { .. } => None,
    };
    let rule = running.label.rule.as_deref();
    if let Some(asker) = &running.label.mcp
        && (200..300).contains(&facts.status)
    {
        let (verdict, message) = asker.judge(&facts.headers, bytes);
        return match message {
            Some(message) => mcp::finished(running, facts, verdict, message),
            None => Finish {
                answer: Some(facts.answer(body, trailers)),
                ..mcp::finished(running, facts, verdict, Bytes::new())
            },
        };
    }
    let (outcome, why) =
        outcome(&running.target, facts.status, &facts.headers, bytes, running.class, rule);
    let unverified = if facts.unverified { "; the end is unverified" } else { "" };
    Finish {
        outcome,
        tool_error: false,
        error: (outcome != Knowledge::Executed).then(|| format!("{}: {why}", facts.status)),
        answer: Some(facts.answer(body, trailers)),
        problem: None,
        sent_at: Some(running.sent_at),
        first_byte_at: Some(facts.received_at),
        last_event: format!("answered {}: {why}{unverified}", facts.status),
    }
}

async fn whole(
    running: Running,
    head: Parts,
    facts: Facts,
    recorder: Recorder,
    trailers: Option<HeaderMap>,
    took: Duration,
) -> Reply {
    let (shared, label) = (Arc::clone(&running.shared), running.label.clone());
    let body = recorder.finish().await;
    let AnswerBody::Kept(bytes) = &body else {
        let lost = io::Error::other("the spooled answer could not be read back");
        return settle_broken(running, &facts, body, &lost).await;
    };
    let bytes = bytes.clone();
    let finish = finished(&running, &facts, body, trailers.as_ref());
    match running.settle(finish).await {
        Ok(settled) => respond::answered(&shared, head, bytes, trailers, &settled, &label, took),
        Err(error) => respond::problem(&shared, &error, Some(&label)),
    }
}

/// The finish of a call whose answer broke off: it may have run; what came is kept.
fn truncated(
    running: &Running,
    facts: &Facts,
    body: AnswerBody,
    error: &io::Error,
) -> (Finish, Error) {
    let detail = format!("the answer {} broke off: {error}", facts.status);
    let told = match error.kind() {
        io::ErrorKind::TimedOut => {
            Error::UpstreamTimeout { detail: detail.clone(), sent: Sent::Maybe }
        }
        _ => Error::Upstream { detail: detail.clone(), sent: Sent::Maybe },
    };
    let finish = Finish {
        outcome: Knowledge::Unknown,
        tool_error: false,
        answer: Some(facts.answer(body, None)),
        error: Some(detail.clone()),
        problem: respond::as_stored(&told),
        sent_at: Some(running.sent_at),
        first_byte_at: Some(facts.received_at),
        last_event: detail,
    };
    (finish, told)
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
    let (shared, label) = (Arc::clone(&running.shared), running.label.clone());
    let (finish, told) = truncated(&running, facts, body, error);
    match running.settle(finish).await {
        Ok(settled) => respond::unanswered(&shared, &told, &settled, &label),
        Err(error) => respond::problem(&shared, &error, Some(&label)),
    }
}
