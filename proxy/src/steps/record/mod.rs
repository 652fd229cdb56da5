//! Step 5: consumes the lease with the outcome, before the agent can act on the answer.

mod begun;
pub(crate) mod client;
pub(crate) mod facts;
pub(crate) mod late;
mod recorder;
mod stream;

use std::io;

use hyper::HeaderMap;
use hyper::header::TRAILER;
use proxy_core::error::Error;
use store::call::{AnswerBody, Finish, Sent as BytesSent};
use store::state::Knowledge;

use self::begun::{Begun, may_have_body, may_hold_response};
use self::facts::AnswerInProgress;
use self::late::{LateAnswer, LateBody, LateSource};
use self::recorder::{HeldBody, KeptBody, Recorder};
use super::exchange::Exchange;
use super::states::{Answered, Recorded, Running, Sent};
use crate::body::pieces::WholeBody;
use crate::mcp::stream_reply;
use crate::upstream::send::AnswerHead;

/// Records the outcome of a call. An answer that flows is recorded by a separate task, which
/// holds the end of the answer until then.
pub(crate) async fn record(sent: Exchange<Sent>) -> Exchange<Recorded> {
    let (exchange, Sent { running, result, late }) = sent.split();
    let running = exchange.with(running);
    let error = match result {
        Ok(answer) => return record_answer(running, answer).await,
        Err(error) => error,
    };
    let late = late.and_then(|head| LateAnswer::to(&running, LateSource::Head(head)));
    let recorded = record_failure(running, error).await;
    LateAnswer::follow(late);
    recorded
}

/// Records that no answer came.
async fn record_failure(running: Exchange<Running>, error: Error) -> Exchange<Recorded> {
    let sent = error.sent();
    let finish = Finish {
        outcome: match sent {
            BytesSent::Never => Knowledge::NotExecuted,
            BytesSent::Maybe => Knowledge::Unknown,
        },
        tool_error: false,
        answer: None,
        error: Some(error.to_string()),
        problem: error.problem(),
        sent_at: (sent == BytesSent::Maybe).then_some(running.state.call.sent_at),
        first_byte_at: None,
        last_event: error.to_string(),
    };
    settle_unanswered(running, finish, error).await
}

/// Records the upstream's answer: whole, if it is not a stream, or as it comes, with its end held
/// until the outcome is committed.
async fn record_answer(running: Exchange<Running>, answer: AnswerHead) -> Exchange<Recorded> {
    let took = answer.took;
    let silence = running.label.silence(&running.context.timeouts).limit;
    let Begun { head, facts, mut source, length, announced } =
        Begun::of(&running.label, answer, silence);
    let mut recorder = Recorder::new(&running.context.bodies, length);
    let rule = running.label.rule.as_ref().map(|rule| &rule.answer);
    let streams = rule.and_then(|rule| rule.stream);
    let may_have_body = may_have_body(head.status);
    let caller = running.label.mcp.clone().filter(|_| may_hold_response(&head));
    // A client that gets an empty body has its end with the head, before anything is recorded.
    let flows = may_have_body
        && length != Some(0)
        && streams.unwrap_or_else(|| recorder::is_stream(&head.headers));
    let mut answering = AnswerInProgress { running, head, facts, took };
    if let Some(caller) = caller {
        return stream_reply::stream(answering, caller, source);
    }
    let kept = if flows { HeldBody::Long(None) } else { recorder.hold(&mut source).await };
    match kept {
        HeldBody::Whole(trailers) => {
            let body = recorder.finish().await;
            if matches!(body.recorded, AnswerBody::Kept(_)) {
                return answering.settle_whole(body, trailers).await;
            }
            let lost = io::Error::other("the spooled answer could not be read back");
            settle_broken(answering, body.recorded, &lost).await
        }
        HeldBody::Broken(error) if error.kind() == io::ErrorKind::TimedOut => {
            let body = recorder.digest_so_far();
            let facts = answering.facts.clone();
            let rest = LateSource::Body(Box::new(LateBody { facts, recorder, source }));
            let late = LateAnswer::to(&answering.running, rest);
            let given_up = settle_broken(answering, body, &error).await;
            LateAnswer::follow(late);
            given_up
        }
        HeldBody::Broken(error) => {
            let KeptBody { recorded, share, .. } = recorder.finish().await;
            let broken = settle_broken(answering, recorded, &error).await;
            drop(share);
            broken
        }
        HeldBody::Long(next) => {
            if let Some(announced) = announced {
                // hyper sends only the trailers that this field announces.
                answering.head.headers.insert(TRAILER, announced);
            }
            stream::stream(answering, stream::FlowingBody { length, recorder, source, next })
        }
    }
}

/// Records an answer that broke off. `body` is what arrived.
async fn settle_broken(
    answering: AnswerInProgress,
    body: AnswerBody,
    error: &io::Error,
) -> Exchange<Recorded> {
    let (finish, error) = answering.facts.truncated(&answering.running.state.call, body, error);
    settle_unanswered(answering.running, finish, error).await
}

async fn settle_unanswered(
    running: Exchange<Running>,
    finish: Finish,
    error: Error,
) -> Exchange<Recorded> {
    let (exchange, settled) = running.settle(finish).await;
    exchange.with(match settled {
        Ok(settled) => Recorded::Unanswered { error, settled },
        Err(error) => Recorded::Failed(error),
    })
}

impl AnswerInProgress {
    /// Records an answer that came whole.
    async fn settle_whole(self, body: KeptBody, trailers: Option<HeaderMap>) -> Exchange<Recorded> {
        let Self { running, head, facts, took } = self;
        let KeptBody { recorded, held, sha256, share } = body;
        let call = &running.state.call;
        let finish = facts.whole(&running.label, call, recorded, trailers.as_ref());
        let (exchange, settled) = running.settle(finish).await;
        drop(share);
        let settled = match settled {
            Ok(settled) => settled,
            Err(error) => return exchange.with(Recorded::Failed(error)),
        };
        let stored = settled.answer.as_ref().and_then(|answer| match &answer.body {
            AnswerBody::Stored(stored) if stored.sha256 == sha256 => Some(*stored),
            _ => None,
        });
        // The file is faster, and its room is for those that are not recorded yet.
        let body = match (held, stored) {
            (WholeBody::File(_), Some(stored)) if !exchange.context.bodies.spool.is_ample() => {
                WholeBody::Stored(stored)
            }
            (held, _) => held,
        };
        exchange.with(Recorded::Answered(Answered { head, body, trailers, settled, took }))
    }
}
