//! Step 3, may it run: asks the store, and answers duplicates.

use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;
use std::time::Duration;

use proxy_core::difference::between;
use proxy_core::difference::list::Differences;
use proxy_core::error::Error;
use proxy_core::http::payment::carries_payment;
use proxy_core::identity::upstream_key;
use store::call::{Claim, Settled, Waiter};
use store::decision::Decision;
use store::model::{EffectClass, Timestamp};
use store::{Clock as _, Store, SystemClock};
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError};
use tokio::time::timeout;
use uuid::Uuid;

use super::exchange::Exchange;
use super::reply::Reply;
use super::respond::problem;
use super::respond::stored::{self, AnswerFormat};
use super::states::{
    Admitted, Claimed, ComparableRequest, Duplicate, Identified, Original, Running, SentCall, Step,
    Stop,
};
use crate::context::ProxyContext;
use crate::failpoint;

/// Takes a place among the calls in flight. A call that is known to have ended is not claimed: most
/// duplicates need no more than this.
pub(crate) fn admit(identified: Exchange<Identified>) -> Step<Admitted> {
    let (exchange, identified) = identified.split();
    match ended_before(&exchange.context, &identified) {
        Ok(None) => {}
        Ok(Some(settled)) => {
            let request = identified.request;
            let format = AnswerFormat::of(&request.parts);
            let of = Original::Settled(settled);
            let digests = Box::new(identified.identity.digests);
            let duplicate = Duplicate { of, target: request.target, digests, format };
            return Break(exchange.with(Stop::Duplicate(duplicate)));
        }
        Err(error) => return Break(exchange.with(Stop::Failed(error))),
    }
    let place = take_place(&exchange.context);
    exchange.step(place.map(|place| {
        // Only an explicit key may belong to another request.
        let explicit = identified.identity.key.as_ref().is_some_and(|key| key.explicit);
        let guarded = explicit.then(|| identified.guarded.clone());
        let (call, outbound) = identified.prepare();
        let input = || call.input.clone();
        let request =
            guarded.map(|guarded| Box::new(ComparableRequest { input: input(), guarded }));
        Admitted { call, outbound, place, request }
    }))
}

/// How the call ended, if that is known without asking the store's writer.
fn ended_before(
    context: &ProxyContext,
    identified: &Identified,
) -> Result<Option<Arc<Settled>>, Error> {
    let Some(key) = &identified.identity.key else { return Ok(None) };
    Ok(context.store.replay(key, &identified.identity.digests)?)
}

/// A place among the guarded calls in flight. There are as many as the store has room for outcomes.
fn take_place(context: &ProxyContext) -> Result<OwnedSemaphorePermit, Error> {
    Arc::clone(&context.calls.in_flight).try_acquire_owned().map_err(|why| match why {
        TryAcquireError::NoPermits => Error::QueueFull("too many calls are in flight".to_owned()),
        TryAcquireError::Closed => Error::QueueFull("the engine is stopping".to_owned()),
    })
}

/// Claims the call in one durable commit.
pub(crate) async fn claim(admitted: Exchange<Admitted>) -> Step<Claimed> {
    let (mut exchange, admitted) = admitted.split();
    let Admitted { call, mut outbound, place, request } = admitted;
    let digests = call.digests;
    let acts = outbound.class != EffectClass::Idempotent;
    if acts {
        let context = &exchange.context;
        context.calls.deliveries.settle(&context.store, &digests).await;
    }
    let of = match exchange.context.store.claim(call).await {
        Err(error) => return Break(exchange.with(Stop::Failed(error.into()))),
        Ok(Claim::Execute(lease)) => {
            failpoint::hit("after-claim");
            exchange.label.execution_id = Some(lease.execution_id());
            exchange.label.attempt = lease.attempt();
            if acts || exchange.repeat.is_some() {
                exchange.owe(lease.execution_id(), &digests);
            }
            outbound.add_key(upstream_key::own_key(lease.execution_id(), lease.key_attempt()));
            let sessions = &exchange.context.calls.mcp.sessions;
            let caller = exchange.label.mcp.as_ref();
            let running = Running {
                lease,
                call: SentCall {
                    target: outbound.target.clone(),
                    class: outbound.class,
                    paid: carries_payment(&outbound.head.headers),
                    sent_at: SystemClock.now(),
                },
                _progress: caller.and_then(|caller| sessions.follow(caller)),
                _place: place,
            };
            return Continue(exchange.with(Claimed { running, outbound }));
        }
        Ok(Claim::Replay(settled)) => Original::Settled(settled),
        Ok(Claim::Undelivered(settled)) => Original::Undelivered(settled),
        Ok(Claim::Busy(waiter)) => Original::Running(waiter),
        Ok(Claim::InDoubt(doubt)) => Original::InDoubt(doubt),
        Ok(Claim::Mismatch { execution_id }) => Original::OtherRequest { execution_id, request },
    };
    let format = AnswerFormat::of(&outbound.head);
    let digests = Box::new(digests);
    let duplicate = Duplicate { of, target: outbound.target, digests, format };
    Break(exchange.with(Stop::Duplicate(duplicate)))
}

/// Answers a duplicate. That of a running call waits for the outcome, whatever it is.
pub(crate) async fn answer_duplicate(duplicate: Exchange<Duplicate>) -> Reply {
    let (mut exchange, Duplicate { of, target, digests, format }) = duplicate.split();
    let context = Arc::clone(&exchange.context);
    let store = &context.store;
    exchange.label.undelivered = matches!(of, Original::Undelivered(_));
    let answered = match of {
        Original::Settled(settled) | Original::Undelivered(settled) => {
            store.count(Decision::Replayed, &target.authority.host);
            store.duplicate(settled.execution_id, Decision::Replayed);
            exchange.give_again(settled.execution_id, &digests);
            let label = &mut exchange.label;
            label.settle(&settled);
            stored::answer(&context, &settled, Decision::Replayed, label, &format).await
        }
        Original::Running(waiter) => {
            let execution_id = waiter.execution_id;
            exchange.label.execution_id = Some(execution_id);
            let settled = wait(&context, waiter).await;
            let decision = if settled.is_ok() { Decision::Coalesced } else { Decision::InProgress };
            store.duplicate(execution_id, decision);
            match settled {
                Ok(settled) => {
                    exchange.give_again(execution_id, &digests);
                    let label = &mut exchange.label;
                    label.settle(&settled);
                    stored::answer(&context, &settled, Decision::Coalesced, label, &format).await
                }
                Err(error) => Err(error),
            }
        }
        Original::InDoubt(doubt) => {
            store.duplicate(doubt.execution_id, Decision::InDoubt);
            Err(Error::InDoubt(doubt))
        }
        Original::OtherRequest { execution_id, request } => {
            store.duplicate(execution_id, Decision::KeyReuse);
            let differences = request.and_then(|request| request.differs_from(store, execution_id));
            Err(Error::KeyReuse { execution_id, differences })
        }
    };
    let reply =
        answered.unwrap_or_else(|error| problem::problem(&context, &error, Some(&exchange.label)));
    reply.delivers(exchange.delivery)
}

/// Waits for the outcome of the running call.
async fn wait(context: &ProxyContext, waiter: Waiter) -> Result<Arc<Settled>, Error> {
    let (execution_id, started_at) = (waiter.execution_id, waiter.started_at);
    let _place = context.calls.waiters.try_acquire().map_err(|_| {
        Error::QueueFull("too many requests are waiting for a running call".to_owned())
    })?;
    if let Ok(Some(settled)) = timeout(context.timeouts.max_wait, waiter.settled()).await {
        return Ok(settled);
    }
    let now = SystemClock.now().as_micros();
    let since = started_at.map_or(now, Timestamp::as_micros);
    let running_for = Duration::from_micros(now.saturating_sub(since).max(0).unsigned_abs());
    Err(Error::InProgress { execution_id, running_for })
}

impl ComparableRequest {
    /// Where it differs from the request of an execution.
    fn differs_from(&self, store: &Store, execution_id: Uuid) -> Option<Box<Differences>> {
        let stored = match store.reader().stored_input(execution_id) {
            Ok(stored) => stored?,
            Err(error) => {
                tracing::warn!(%error, "cannot compare two requests");
                return None;
            }
        };
        let fields = |name: &str| self.guarded.counts_under_key(name);
        Some(Box::new(between(&stored, &self.input, Some(&self.guarded), &fields)))
    }
}
