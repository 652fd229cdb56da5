//! What each step of a guarded call leaves for the next.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::http::{request, response};
use proxy_core::error::Error;
use proxy_core::http::target::Target;
use proxy_core::identity::key::CallIdentity;
use proxy_core::mcp::decide::ToolRequest;
use proxy_core::policy::decision::{Guarded, HeadDecision, PassReason};
use proxy_core::policy::keyed::KeyPlace;
use proxy_core::received::ReceivedRequest;
use store::Lease;
use store::call::{Call, CallDigests, Doubt, Scope, Settled, Waiter};
use store::model::{EffectClass, Json, Timestamp};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::exchange::Exchange;
use super::outbound::OutboundCall;
use super::respond::stored::AnswerFormat;
use crate::body::buffer::BufferedBody;
use crate::body::pieces::WholeBody;
use crate::body::reply::ReplyBody;
use crate::body::request::RequestBody;
use crate::mcp::sessions::FollowedProgress;
use crate::upstream::send::{AnswerHead, LateHead};

/// What a step results in: the exchange for the next step, or the reason why it is answered now.
pub(crate) type Step<S> = ControlFlow<Exchange<Stop>, Exchange<S>>;

impl Exchange<()> {
    /// Goes on to the next step, or stops at an error.
    pub(crate) fn step<S>(self, result: Result<S, Error>) -> Step<S> {
        match result {
            Ok(state) => ControlFlow::Continue(self.with(state)),
            Err(error) => ControlFlow::Break(self.with(Stop::Failed(error))),
        }
    }
}

/// The head was read. The body was not polled.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) request: ReceivedRequest,
    pub(crate) body: Incoming,
    pub(crate) decision: HeadDecision,
}

/// The body was read, and the request is guarded.
#[derive(Debug)]
pub(crate) struct Buffered {
    pub(crate) request: ReceivedRequest,
    pub(crate) body: BufferedBody,
    pub(crate) scope: Scope,
    pub(crate) guarded: Guarded,
    /// The tool call of MCP that the body holds, if it is one.
    pub(crate) tool: Option<ToolRequest>,
}

/// It is known which execution the request means.
#[derive(Debug)]
pub(crate) struct Identified {
    pub(crate) request: ReceivedRequest,
    pub(crate) body: BufferedBody,
    pub(crate) scope: Scope,
    pub(crate) guarded: Guarded,
    /// As its key has it.
    pub(crate) tool_name: String,
    /// The same without secrets.
    pub(crate) recorded_tool: String,
    pub(crate) identity: CallIdentity,
    /// Where the engine puts its own key upstream.
    pub(crate) adds_key: Option<KeyPlace>,
}

/// The call has a place among those in flight, and asks to run.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) call: Call,
    pub(crate) outbound: OutboundCall,
    pub(crate) place: OwnedSemaphorePermit,
    /// Of a call with a key of the client.
    pub(crate) request: Option<Box<ComparableRequest>>,
}

/// A request that may have to be compared with the one that holds its key.
#[derive(Debug)]
pub(crate) struct ComparableRequest {
    /// As it is stored.
    pub(crate) input: Json,
    pub(crate) guarded: Guarded,
}

/// The call may run. Its lease ends with its outcome.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) running: Running,
    pub(crate) outbound: OutboundCall,
}

/// A claimed call whose outcome is not recorded yet.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) lease: Lease,
    pub(crate) call: SentCall,
    /// Of a tool call of MCP. Held to the end of the answer.
    pub(crate) _progress: Option<FollowedProgress>,
    /// Held to the end of the answer.
    pub(crate) _place: OwnedSemaphorePermit,
}

/// What an answer is judged by.
#[derive(Debug, Clone)]
pub(crate) struct SentCall {
    pub(crate) target: Target,
    pub(crate) class: EffectClass,
    /// The request carries a payment.
    pub(crate) paid: bool,
    pub(crate) sent_at: Timestamp,
}

/// The call was sent, as far as that succeeded.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) running: Running,
    pub(crate) result: Result<AnswerHead, Error>,
    /// The answer may still come, although it was given up.
    pub(crate) late: Option<LateHead>,
}

/// The outcome is on disk, or will be before the answer ends.
#[derive(Debug)]
pub(crate) enum Recorded {
    /// The upstream's whole answer.
    Answered(Answered),
    /// The answer flows to the client. Its end waits for the record.
    Streaming { head: response::Parts, body: ReplyBody, took: Duration },
    /// No whole answer came.
    Unanswered { error: Error, settled: Arc<Settled> },
    /// The outcome could not be recorded.
    Failed(Error),
}

/// The upstream's whole answer, on disk.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) head: response::Parts,
    pub(crate) body: WholeBody,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) settled: Arc<Settled>,
    /// From the dispatch to the head of the answer.
    pub(crate) took: Duration,
}

/// Why a request leaves the steps.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Its body says that it is not guarded.
    Passed(Box<PassedRequest>),
    /// It is a duplicate, or its key belongs to another request.
    Duplicate(Duplicate),
    /// It is refused, or failed before it was sent.
    Failed(Error),
}

/// A duplicate of an earlier call.
#[derive(Debug)]
pub(crate) struct Duplicate {
    pub(crate) of: Original,
    pub(crate) target: Target,
    pub(crate) digests: Box<CallDigests>,
    pub(crate) format: AnswerFormat,
}

/// The call that was there before.
#[derive(Debug)]
pub(crate) enum Original {
    /// It has ended.
    Settled(Arc<Settled>),
    /// It has ended, under another key, and its answer did not arrive.
    Undelivered(Arc<Settled>),
    /// It runs.
    Running(Waiter),
    /// It may have taken effect.
    InDoubt(Doubt),
    /// It is another call, with the same key.
    OtherRequest { execution_id: Uuid, request: Option<Box<ComparableRequest>> },
}

/// A request that streams through.
#[derive(Debug)]
pub(crate) struct PassedRequest {
    pub(crate) target: Target,
    pub(crate) parts: request::Parts,
    pub(crate) body: RequestBody,
    pub(crate) reason: PassReason,
}
