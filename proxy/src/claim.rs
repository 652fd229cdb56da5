//! Step 3, may it run: asks the store, and turns its answer into a decision.

use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{HeaderMap, Request};
use store::call::{Call, Claim, Waiter};
use store::model::EffectClass;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError};
use tokio::time::timeout;

use crate::Shared;
use crate::body::Outgoing;
use crate::error::Error;
use crate::failpoint;
use crate::request::Target;
use crate::respond::{self, Duplicate, Label, Reply};
use crate::spool::Stored;

/// A call as it goes out, if it may.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) target: Target,
    pub(crate) class: EffectClass,
    /// The next hop's.
    pub(crate) head: Parts,
    pub(crate) body: Stored,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) label: Label,
}

impl Prepared {
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

/// What a claim that is not granted means to its caller.
pub(crate) async fn refused(
    shared: &Shared,
    claim: Claim,
    label: &Label,
    wants_trailers: bool,
) -> Result<Reply, Error> {
    match claim {
        Claim::Replay(settled) => {
            respond::duplicate(shared, &settled, Duplicate::Replayed, label, wants_trailers)
        }
        Claim::Busy(waiter) => wait(shared, waiter, label, wants_trailers).await,
        Claim::InDoubt(doubt) => Err(Error::InDoubt(doubt)),
        Claim::Mismatch { execution_id } => Err(Error::KeyReuse(execution_id)),
        Claim::Execute(_) => Err(Error::Internal),
    }
}

/// Waits for the leader and shares its outcome, whatever it is.
async fn wait(
    shared: &Shared,
    waiter: Waiter,
    label: &Label,
    wants_trailers: bool,
) -> Result<Reply, Error> {
    let execution_id = waiter.execution_id;
    let _place = shared
        .waiters
        .try_acquire()
        .map_err(|_| Error::QueueFull("too many requests wait for a running call".to_owned()))?;
    match timeout(shared.config.timeouts.max_wait, waiter.settled()).await {
        Ok(Some(settled)) => {
            respond::duplicate(shared, &settled, Duplicate::Coalesced, label, wants_trailers)
        }
        Ok(None) | Err(_) => Err(Error::InProgress(execution_id)),
    }
}
