//! A claimed call whose outcome is not recorded yet, and how its outcome is written down.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::ext::ReasonPhrase;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::response::Parts;
use proxy_core::error::{Error, Sent};
use proxy_core::http::hop_by_hop::remove_where;
use proxy_core::http::target::Target;
use proxy_core::mcp::reply::Verdict;
use proxy_core::policy::outcome::outcome;
use store::call::{Answer, AnswerBody, Finish, Settled};
use store::key::Digest;
use store::model::{EffectClass, Timestamp};
use store::state::Knowledge;
use store::{Clock as _, Lease, SystemClock};
use tokio::sync::OwnedSemaphorePermit;

use crate::context::ProxyContext;
use crate::failpoint;
use crate::steps::label::Label;
use crate::steps::prepared::Prepared;
use crate::steps::respond::problem::as_stored;
use crate::steps::respond::stored::{stored_fields, stored_reason};

/// A claimed call whose outcome is not recorded yet.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) context: Arc<ProxyContext>,
    pub(crate) lease: Lease,
    pub(crate) label: Label,
    pub(crate) target: Target,
    pub(crate) class: EffectClass,
    pub(crate) sent_at: Timestamp,
    /// Among the guarded calls in flight, to the end of its answer.
    _place: OwnedSemaphorePermit,
}

impl Running {
    /// The call is about to be dispatched.
    pub(crate) fn new(
        context: &Arc<ProxyContext>,
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
            context: Arc::clone(context),
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
    pub(crate) async fn settle(self, finish: Finish) -> Result<Arc<Settled>, Error> {
        failpoint::hit("before-commit");
        let execution_id = self.lease.execution_id();
        let tool_error = finish.tool_error;
        let Self { context, lease, label, .. } = self;
        let settled = context.config.store.finish(lease, finish).await;
        failpoint::hit("before-reply");
        let settled = settled.inspect(|settled| {
            if tool_error {
                remember_undelivered(&context, &label, settled);
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

/// What is kept of the head of an answer.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Where it is not the status's own.
    pub(crate) reason: Option<ReasonPhrase>,
    pub(crate) received_at: Timestamp,
    /// Nothing but the end of the connection tells that the body is whole.
    pub(crate) unverified: bool,
    /// The body is kept, and not its digest alone.
    pub(crate) keeps: bool,
}

impl Facts {
    pub(crate) fn new(head: &Parts, received_at: Timestamp, unverified: bool, keeps: bool) -> Self {
        Self {
            status: head.status.as_u16(),
            headers: head.headers.clone(),
            reason: head.extensions.get().cloned(),
            received_at,
            unverified,
            keeps,
        }
    }

    pub(crate) fn answer(&self, body: AnswerBody, trailers: Option<&HeaderMap>) -> Answer {
        let mut kept = stored_fields(&self.headers);
        let omitted_cookies = kept.len() < self.headers.len();
        kept.extend(self.reason.as_ref().map(stored_reason));
        Answer {
            status: self.status,
            omitted_cookies,
            headers: kept,
            body: if self.keeps { body } else { digest_of(body) },
            trailers: trailers.map(stored_fields).unwrap_or_default(),
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
pub(crate) fn finished(
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
            Some(message) => response_finished(running, facts, verdict, message),
            None => Finish {
                answer: Some(facts.answer(body, trailers)),
                ..response_finished(running, facts, verdict, Bytes::new())
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

/// The finish of a call whose response came. It is kept as one JSON message, whatever it came in.
pub(crate) fn response_finished(
    running: &Running,
    facts: &Facts,
    verdict: Verdict,
    message: Bytes,
) -> Finish {
    let Verdict { outcome, tool_error, why } = verdict;
    let mut headers = facts.headers.clone();
    remove_where(&mut headers, |name| {
        name.starts_with("mcp-") || ["content-encoding", "content-length"].contains(&name)
    });
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let kept = Facts {
        status: facts.status,
        headers,
        reason: facts.reason.clone(),
        received_at: facts.received_at,
        unverified: facts.unverified,
        keeps: facts.keeps,
    };
    Finish {
        outcome,
        tool_error,
        answer: Some(kept.answer(AnswerBody::Kept(message), None)),
        error: (outcome != Knowledge::Executed || tool_error).then(|| why.to_owned()),
        problem: None,
        sent_at: Some(running.sent_at),
        first_byte_at: Some(facts.received_at),
        last_event: format!("answered {}: {why}", facts.status),
    }
}

/// The finish of a call whose answer broke off: it may have run; what came is kept.
pub(crate) fn truncated(
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
        problem: as_stored(&told),
        sent_at: Some(running.sent_at),
        first_byte_at: Some(facts.received_at),
        last_event: detail,
    };
    (finish, told)
}

/// Remembers a tool's error whose caller has left.
fn remember_undelivered(context: &ProxyContext, label: &Label, settled: &Arc<Settled>) {
    if let Some(asker) = label.mcp.as_ref().filter(|asker| asker.has_left())
        && let Some(which) = asker.which()
    {
        context.mcp.undelivered.remember(which, settled);
    }
}
