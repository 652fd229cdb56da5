//! Step 3, may it run: asks the store, and turns its answer into a decision.

use std::sync::Arc;

use hyper::header::{ACCEPT_ENCODING, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request};
use store::call::{Call, Claim, Settled, Waiter};
use store::model::EffectClass;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError};
use tokio::time::timeout;
use uuid::Uuid;

use crate::Shared;
use crate::body::Outgoing;
use crate::error::Error;
use crate::failpoint;
use crate::forward;
use crate::policy::KeyPlace;
use crate::request::Target;
use crate::respond::{self, Duplicate, Label, Reply, Wants};
use crate::spool::Stored;
use crate::upstream_key;

/// A call as it goes out, if it may.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) target: Target,
    pub(crate) class: EffectClass,
    /// The client's; [`Self::for_next_hop`] makes it the next hop's.
    pub(crate) head: Parts,
    pub(crate) body: Stored,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) label: Label,
    /// Where the engine's own key is to go.
    pub(crate) adds_key: Option<KeyPlace>,
}

impl Prepared {
    /// Gives the upstream a key where the client gave none: the execution's id, which is the same
    /// for all its attempts.
    pub(crate) fn add_key(&mut self, execution: Uuid) {
        let key = execution.to_string();
        match &self.adds_key {
            None => {}
            Some(KeyPlace::Header(name)) => {
                if let Ok(value) = HeaderValue::try_from(key) {
                    self.head.headers.insert(name, value);
                }
            }
            Some(KeyPlace::Member(pointer)) => {
                let body = self.body.in_memory().and_then(|body| {
                    upstream_key::with_member(pointer, &self.head.headers, body, &key)
                });
                if let Some(body) = body {
                    self.body = Stored::of(body);
                }
            }
        }
    }

    /// Makes the head that of the next hop; what is only a duplicate does not need it.
    pub(crate) fn for_next_hop(&mut self, shared: &Shared) {
        forward::prepare(shared, &self.target, &mut self.head);
        forward::set_framing(&mut self.head, self.body.len(), self.trailers.as_ref());
        if self.label.mcp.is_some() {
            // The response is looked for in the answer.
            self.head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
    }

    /// The request, anew.
    pub(crate) fn request(&self) -> Request<Outgoing> {
        let body = Outgoing::stored(&self.body, self.trailers.as_ref());
        Request::from_parts(self.head.clone(), body)
    }
}

/// A place among the guarded calls in flight, as many as the store has room for outcomes.
pub(crate) fn place(shared: &Shared) -> Result<OwnedSemaphorePermit, Error> {
    Arc::clone(&shared.in_flight).try_acquire_owned().map_err(|why| match why {
        TryAcquireError::NoPermits => Error::QueueFull("too many calls are in flight".to_owned()),
        TryAcquireError::Closed => Error::QueueFull("the engine is stopping".to_owned()),
    })
}

/// One durable commit, or the reason why not.
pub(crate) async fn ask(shared: &Shared, call: Call) -> Result<Claim, Error> {
    let claim = shared.config.store.claim(call).await?;
    if matches!(claim, Claim::Execute(_)) {
        failpoint::hit("after-claim");
    }
    Ok(claim)
}

/// What a claim that is not granted means to its caller. `label` learns what the store tells.
pub(crate) async fn refused(
    shared: &Shared,
    claim: Claim,
    target: &Target,
    label: &mut Label,
    wants: &Wants,
) -> Result<Reply, Error> {
    match claim {
        Claim::Replay(settled) => replayed(shared, &settled, target, label, wants),
        Claim::Busy(waiter) => {
            label.execution_id = Some(waiter.execution_id);
            let execution_id = waiter.execution_id;
            let settled = wait(shared, waiter).await;
            let answered = if settled.is_ok() { "coalesced" } else { "in-progress" };
            shared.config.store.duplicate(execution_id, answered);
            let settled = settled?;
            label.settle(&settled);
            respond::duplicate(shared, &settled, Duplicate::Coalesced, label, wants)
        }
        Claim::InDoubt(doubt) => {
            shared.config.store.duplicate(doubt.execution_id, "in-doubt");
            Err(Error::InDoubt(doubt))
        }
        Claim::Mismatch { execution_id } => {
            shared.config.store.duplicate(execution_id, "key-reuse");
            Err(Error::KeyReuse(execution_id))
        }
        Claim::Execute(_) => Err(Error::Internal),
    }
}

/// Answers a duplicate of a call that is over.
pub(crate) fn replayed(
    shared: &Shared,
    settled: &Settled,
    target: &Target,
    label: &mut Label,
    wants: &Wants,
) -> Result<Reply, Error> {
    shared.config.store.count("replayed", &target.authority.host);
    shared.config.store.duplicate(settled.execution_id, "replayed");
    label.settle(settled);
    respond::duplicate(shared, settled, Duplicate::Replayed, label, wants)
}

/// Waits for the leader's outcome, whatever it is.
async fn wait(shared: &Shared, waiter: Waiter) -> Result<Arc<Settled>, Error> {
    let execution_id = waiter.execution_id;
    let _place = shared
        .waiters
        .try_acquire()
        .map_err(|_| Error::QueueFull("too many requests wait for a running call".to_owned()))?;
    match timeout(shared.config.timeouts.max_wait, waiter.settled()).await {
        Ok(Some(settled)) => Ok(settled),
        Ok(None) | Err(_) => Err(Error::InProgress(execution_id)),
    }
}
