//! Answers that come after their callers were given up. They settle the doubt.

use std::sync::Arc;
use std::time::Duration;

use store::LateReport;
use store::state::Knowledge;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::begun::{Begun, may_hold_response};
use super::facts::AnswerFacts;
use super::recorder::{KeptBody, Recorder};
use crate::context::ProxyContext;
use crate::mcp::late_stream::{LateFinish, LateStream};
use crate::steps::exchange::Exchange;
use crate::steps::label::CallLabel;
use crate::steps::states::{Running, SentCall};
use crate::upstream::response_body::UpstreamBody;
use crate::upstream::send::{AnswerHead, LateHead};

/// Where the rest of an answer comes from.
pub(crate) enum LateSource {
    /// Nothing of it has come.
    Head(LateHead),
    /// A part of its body has come.
    Body(Box<LateBody>),
    /// A stream of MCP.
    Stream(Box<LateStream>),
}

/// The rest of a body.
pub(crate) struct LateBody {
    pub(super) facts: AnswerFacts,
    pub(super) recorder: Recorder,
    pub(super) source: UpstreamBody,
}

/// An answer that is waited for, although its caller was given up.
pub(crate) struct LateAnswer {
    context: Arc<ProxyContext>,
    label: CallLabel,
    call: SentCall,
    report: LateReport,
    source: LateSource,
    /// One of those that may be waited for.
    _place: OwnedSemaphorePermit,
}

impl LateAnswer {
    /// The answer to a call that is about to be recorded as of unknown outcome. `None`: too many
    /// are waited for already.
    pub(crate) fn to(running: &Exchange<Running>, source: LateSource) -> Option<Self> {
        let place = Arc::clone(&running.context.calls.late).try_acquire_owned().ok()?;
        Some(Self {
            context: Arc::clone(&running.context),
            label: running.label.clone(),
            call: running.state.call.clone(),
            report: running.state.lease.late_report(),
            source,
            _place: place,
        })
    }

    /// Waits for the answer in the background, once the unknown outcome is recorded. Does not hold
    /// up a shutdown.
    pub(crate) fn follow(late: Option<Self>) {
        let Some(late) = late else { return };
        let context = Arc::clone(&late.context);
        tokio::spawn(async move {
            tokio::select! {
                () = context.lifecycle.draining.cancelled() => {}
                _ = timeout(context.timeouts.late, late.record()) => {}
            }
        });
    }

    async fn record(self) {
        let Self { context, label, call, report, source, _place } = self;
        let limit = context.timeouts.late;
        let finish = match source {
            LateSource::Head(head) => match head.head().await {
                Some(answer) => from_head(&context, &label, &call, answer, limit).await,
                None => None,
            },
            LateSource::Body(mut body) => {
                body.source.set_limit(limit);
                from_body(&label, &call, *body).await
            }
            LateSource::Stream(stream) => stream.finish(&label, &call, limit).await,
        };
        let Some(LateFinish { finish, recorded, share: _share }) = finish else { return };
        if finish.outcome == Knowledge::Unknown {
            return;
        }
        let execution_id = label.execution_id;
        match context.store.finish_late(report, finish).await {
            Ok(()) => {
                tracing::info!(?execution_id, "a late answer was recorded");
                if let Some(recorded) = recorded {
                    let _ = recorded.send(());
                }
            }
            Err(error) => tracing::warn!(%error, ?execution_id, "late answer not recorded"),
        }
    }
}

/// The outcome by an answer whose head has come. `None`: nothing is known.
async fn from_head(
    context: &Arc<ProxyContext>,
    label: &CallLabel,
    call: &SentCall,
    answer: AnswerHead,
    limit: Duration,
) -> Option<LateFinish> {
    let Begun { head, facts, source, length, .. } = Begun::of(label, answer, limit);
    if let Some(caller) = label.mcp.clone().filter(|_| may_hold_response(&head)) {
        return LateStream::begun(context, caller, facts, source).finish(label, call, limit).await;
    }
    let recorder = Recorder::new(&context.bodies, length);
    from_body(label, call, LateBody { facts, recorder, source }).await
}

async fn from_body(label: &CallLabel, call: &SentCall, body: LateBody) -> Option<LateFinish> {
    let LateBody { facts, mut recorder, mut source } = body;
    let trailers = recorder.rest(&mut source).await.ok()?;
    let KeptBody { recorded, share, .. } = recorder.finish().await;
    let finish = facts.whole(label, call, recorded, trailers.as_ref());
    Some(LateFinish { finish, recorded: None, share })
}
