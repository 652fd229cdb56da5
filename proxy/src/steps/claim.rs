//! Step 3, may it run: asks the store, and turns its answer into a decision.

use std::sync::Arc;

use proxy_core::error::Error;
use proxy_core::http::target::Target;
use store::call::{Call, Claim, Settled, Waiter};
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError};
use tokio::time::timeout;

use crate::context::ProxyContext;
use crate::failpoint;
use crate::steps::label::Label;
use crate::steps::reply::Reply;
use crate::steps::respond::stored::{self, Duplicate, Wants};

/// A place among the guarded calls in flight, as many as the store has room for outcomes.
pub(crate) fn place(context: &ProxyContext) -> Result<OwnedSemaphorePermit, Error> {
    Arc::clone(&context.in_flight).try_acquire_owned().map_err(|why| match why {
        TryAcquireError::NoPermits => Error::QueueFull("too many calls are in flight".to_owned()),
        TryAcquireError::Closed => Error::QueueFull("the engine is stopping".to_owned()),
    })
}

/// One durable commit, or the reason why not.
pub(crate) async fn ask(context: &ProxyContext, call: Call) -> Result<Claim, Error> {
    let claim = context.config.store.claim(call).await?;
    if matches!(claim, Claim::Execute(_)) {
        failpoint::hit("after-claim");
    }
    Ok(claim)
}

/// What a claim that is not granted means to its caller. `label` learns what the store tells.
pub(crate) async fn refused(
    context: &ProxyContext,
    claim: Claim,
    target: &Target,
    label: &mut Label,
    wants: &Wants,
) -> Result<Reply, Error> {
    match claim {
        Claim::Replay(settled) => replayed(context, &settled, target, label, wants),
        Claim::Busy(waiter) => {
            label.execution_id = Some(waiter.execution_id);
            let execution_id = waiter.execution_id;
            let settled = wait(context, waiter).await;
            let answered = if settled.is_ok() { "coalesced" } else { "in-progress" };
            context.config.store.duplicate(execution_id, answered);
            let settled = settled?;
            label.settle(&settled);
            stored::duplicate(context, &settled, Duplicate::Coalesced, label, wants)
        }
        Claim::InDoubt(doubt) => {
            context.config.store.duplicate(doubt.execution_id, "in-doubt");
            Err(Error::InDoubt(doubt))
        }
        Claim::Mismatch { execution_id } => {
            context.config.store.duplicate(execution_id, "key-reuse");
            Err(Error::KeyReuse(execution_id))
        }
        Claim::Execute(_) => Err(Error::Internal),
    }
}

/// Answers a duplicate of a call that is over.
pub(crate) fn replayed(
    context: &ProxyContext,
    settled: &Settled,
    target: &Target,
    label: &mut Label,
    wants: &Wants,
) -> Result<Reply, Error> {
    context.config.store.count("replayed", &target.authority.host);
    context.config.store.duplicate(settled.execution_id, "replayed");
    label.settle(settled);
    stored::duplicate(context, settled, Duplicate::Replayed, label, wants)
}

/// Waits for the leader's outcome, whatever it is.
async fn wait(context: &ProxyContext, waiter: Waiter) -> Result<Arc<Settled>, Error> {
    let execution_id = waiter.execution_id;
    let _place = context
        .waiters
        .try_acquire()
        .map_err(|_| Error::QueueFull("too many requests wait for a running call".to_owned()))?;
    match timeout(context.config.timeouts.max_wait, waiter.settled()).await {
        Ok(Some(settled)) => Ok(settled),
        Ok(None) | Err(_) => Err(Error::InProgress(execution_id)),
    }
}
