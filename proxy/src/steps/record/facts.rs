//! What is recorded of an answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::ext::ReasonPhrase;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::response;
use proxy_core::error::Error;
use proxy_core::http::hop_by_hop::remove_where;
use proxy_core::mcp::reply::ToolOutcome;
use proxy_core::policy::outcome::{WholeAnswer, outcome, tool_outcome};
use store::call::{Answer, AnswerBody, Finish, Sent, Settled};
use store::key::Digest;
use store::model::{EffectClass, Timestamp};
use store::state::Knowledge;

use crate::failpoint;
use crate::steps::exchange::Exchange;
use crate::steps::label::CallLabel;
use crate::steps::respond::stored::{stored_fields, stored_reason};
use crate::steps::states::{Running, SentCall};

/// A call whose answer has begun.
pub(crate) struct AnswerInProgress {
    pub(crate) running: Exchange<Running>,
    /// As the client gets it.
    pub(crate) head: response::Parts,
    pub(crate) facts: AnswerFacts,
    /// From the dispatch to the head of the answer.
    pub(crate) took: Duration,
}

/// What is kept of the head of an answer.
#[derive(Debug, Clone)]
pub(crate) struct AnswerFacts {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// If it is not the status's own.
    pub(crate) reason: Option<ReasonPhrase>,
    pub(crate) received_at: Timestamp,
    /// Only the end of the connection marks the end of the body.
    pub(crate) unverified: bool,
    /// The body is kept, and not only its digest.
    pub(crate) keeps_body: bool,
}

impl Exchange<Running> {
    /// Writes the outcome down. If that fails, only the caller could know what the tool did. The
    /// caller must not take it for recorded, and gets no answer of the tool.
    pub(crate) async fn settle(
        self,
        finish: Finish,
    ) -> (Exchange<()>, Result<Arc<Settled>, Error>) {
        failpoint::hit("before-commit");
        let (exchange, Running { lease, _place: place, .. }) = self.split();
        let execution_id = lease.execution_id();
        let settled = exchange.context.store.finish(lease, finish).await;
        drop(place);
        failpoint::hit("before-reply");
        let settled = settled.map_err(|error| {
            tracing::error!(%error, %execution_id, "outcome not recorded");
            let detail = match error {
                store::Error::NotYet => {
                    "the tool answered, but there is no disk space to record its answer; it is recorded as \
                     soon as there is"
                }
                _ => "the tool answered, but its answer could not be recorded",
            };
            Error::Upstream { detail: detail.to_owned(), sent: Sent::Maybe }
        });
        (exchange, settled)
    }
}

impl AnswerFacts {
    /// The answer as it is stored.
    pub(crate) fn stored(&self, body: AnswerBody, trailers: Option<&HeaderMap>) -> Answer {
        let mut kept = stored_fields(&self.headers);
        let omitted_cookies = kept.len() < self.headers.len();
        kept.extend(self.reason.as_ref().map(stored_reason));
        Answer {
            status: self.status,
            omitted_cookies,
            headers: kept,
            body: if self.keeps_body { body } else { digest_of(body) },
            trailers: trailers.map(stored_fields).unwrap_or_default(),
            received_at: self.received_at,
        }
    }

    /// The outcome of a call whose answer came whole.
    pub(crate) fn whole(
        &self,
        label: &CallLabel,
        call: &SentCall,
        body: AnswerBody,
        trailers: Option<&HeaderMap>,
    ) -> Finish {
        let bytes = match &body {
            AnswerBody::Kept(bytes) => Some(&bytes[..]),
            AnswerBody::Stored(_) | AnswerBody::Dropped { .. } => None,
        };
        if let Some(caller) = &label.mcp
            && (200..300).contains(&self.status)
        {
            let (outcome, message) = caller.read_answer(&self.headers, bytes);
            let outcome = self.judged(label, outcome, message.as_deref());
            let answer = message.is_none().then(|| self.stored(body, trailers));
            let finish = self.responded(call, outcome, message.unwrap_or_default());
            return Finish { answer: answer.or(finish.answer), ..finish };
        }
        let SentCall { target, class, paid, sent_at } = call;
        let answer = WholeAnswer {
            target,
            paid: *paid,
            status: self.status,
            headers: &self.headers,
            body: bytes,
        };
        let (outcome, why) = outcome(answer, *class, label.rule.as_deref());
        let unverified = if self.unverified { "; the end is unverified" } else { "" };
        Finish {
            outcome,
            tool_error: false,
            error: (outcome != Knowledge::Executed).then(|| format!("{}: {why}", self.status)),
            answer: Some(self.stored(body, trailers)),
            problem: None,
            sent_at: Some(*sent_at),
            first_byte_at: Some(self.received_at),
            last_event: format!("answered {}: {why}{unverified}", self.status),
        }
    }

    /// Whether the head alone leaves the call in doubt, whatever the body says.
    pub(crate) fn leaves_doubt(&self, call: &SentCall) -> bool {
        let SentCall { target, class, paid, .. } = call;
        let (status, headers) = (self.status, &self.headers);
        let answer = WholeAnswer { target, paid: *paid, status, headers, body: Some(b"") };
        let (known, _) = outcome(answer, *class, None);
        known == Knowledge::Unknown && *class != EffectClass::Idempotent
    }

    /// What the response to a tool call says, also by the call's rule. `message`: `None` if it is
    /// too large to be read.
    pub(crate) fn judged(
        &self,
        label: &CallLabel,
        outcome: ToolOutcome,
        message: Option<&[u8]>,
    ) -> ToolOutcome {
        tool_outcome(outcome, label.rule.as_deref(), self.status, message)
    }

    /// The outcome of a tool call whose response came. It is kept as one JSON message, whatever it
    /// came in.
    pub(crate) fn responded(
        &self,
        call: &SentCall,
        outcome: ToolOutcome,
        message: Bytes,
    ) -> Finish {
        let ToolOutcome { outcome, tool_error, why } = outcome;
        let mut headers = self.headers.clone();
        remove_where(&mut headers, |name| {
            name.starts_with("mcp-") || ["content-encoding", "content-length"].contains(&name)
        });
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let kept = Self { headers, reason: self.reason.clone(), ..*self };
        Finish {
            outcome,
            tool_error,
            answer: Some(kept.stored(AnswerBody::Kept(message), None)),
            error: (outcome != Knowledge::Executed || tool_error).then(|| why.to_owned()),
            problem: None,
            sent_at: Some(call.sent_at),
            first_byte_at: Some(self.received_at),
            last_event: format!("answered {}: {why}", self.status),
        }
    }

    /// The outcome of a call whose answer broke off, and the error for its caller: it may have run.
    /// What came is kept.
    pub(crate) fn truncated(
        &self,
        call: &SentCall,
        body: AnswerBody,
        error: &io::Error,
    ) -> (Finish, Error) {
        let detail = format!("the answer {} broke off: {error}", self.status);
        let problem = match error.kind() {
            io::ErrorKind::TimedOut => {
                Error::UpstreamTimeout { detail: detail.clone(), sent: Sent::Maybe }
            }
            _ => Error::Upstream { detail: detail.clone(), sent: Sent::Maybe },
        };
        let finish = Finish {
            outcome: Knowledge::Unknown,
            tool_error: false,
            answer: Some(self.stored(body, None)),
            error: Some(detail.clone()),
            problem: problem.problem(),
            sent_at: Some(call.sent_at),
            first_byte_at: Some(self.received_at),
            last_event: detail,
        };
        (finish, problem)
    }
}

/// What is left of a body that a rule keeps out of the store.
fn digest_of(body: AnswerBody) -> AnswerBody {
    match body {
        AnswerBody::Kept(bytes) => {
            AnswerBody::Dropped { sha256: *Digest::of(&bytes).as_bytes(), size: bytes.len() as u64 }
        }
        other => other,
    }
}
