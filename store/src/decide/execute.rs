//! Decides who may run an execution of the API, under a lease or without one as in v0.1.

use std::time::Duration;

use store_core::Error;
use store_core::call::{ApiClaim, ToolCallKey};
use store_core::model::{Actor, EffectClass, EventKind, Origin, Timestamp, ToolCall};
use store_core::state::{self, Event, Knowledge, State};
use uuid::Uuid;

use crate::decide::brief::{Brief, Place, Running};
use crate::decide::context::Context;
use crate::decide::event::Detail;
use crate::decide::execution::{CREATED, Created, KeyRow, NewExecution, Terms};
use crate::decide::plan::{Change, Decision, Effect, NewAttempt, Plan, millis};

/// A call by the API, with its options.
#[derive(Debug, Clone)]
pub(crate) struct ApiCall {
    pub(crate) call: ToolCall,
    pub(crate) place: Place,
    pub(crate) key: ToolCallKey,
    pub(crate) lease: Option<Duration>,
    pub(crate) claim_id: Option<[u8; 16]>,
    /// Wait for the result if another caller runs it.
    pub(crate) wait: bool,
    pub(crate) refuse_mismatch: bool,
}

/// The answer to [`ApiCall`].
#[derive(Debug)]
pub(crate) enum ApiAnswer {
    /// The execution was created at this time.
    New { id: Uuid, at: Timestamp, claim: Option<ApiClaim> },
    /// The execution existed before.
    Known {
        row: i64,
        /// Its input is different.
        mismatch: bool,
        claim: Option<ApiClaim>,
        wait_for: Option<Running>,
    },
}

/// Records a call without a key.
pub(crate) fn create(call: &ToolCall, place: Place, now: Timestamp) -> Plan<'_> {
    insert(call, place, None, None, now).1
}

/// Decides who may run the execution that holds the call's key, or creates it.
pub(crate) fn decide<'a>(
    holder: Option<Brief>,
    request: &'a ApiCall,
    context: &Context<'_>,
) -> Result<Decision<'a, ApiAnswer>, Error> {
    let Some(found) = holder else { return Ok(record(request, context)) };
    let mismatch = found.fingerprint != Some(request.key.fingerprint.short());
    if mismatch && request.refuse_mismatch {
        return Err(Error::KeyReuse { execution: found.id });
    }
    let Decision { answer: claim, plan } = match request.lease {
        None => Decision::only(None),
        Some(_) if mismatch => Decision::only(Some(passive_claim(found.state))),
        Some(ttl) => claim(&found, ttl, request.claim_id, context)?,
    };
    let busy = matches!(claim, Some(ApiClaim::Busy { .. }))
        || (claim.is_none() && !found.state.is_terminal());
    let wait_for = (busy && request.wait).then(|| Running::of(&found));
    let answer = ApiAnswer::Known { row: found.row, mismatch, claim, wait_for };
    Ok(Decision { answer, plan })
}

fn record<'a>(request: &'a ApiCall, context: &Context<'_>) -> Decision<'a, ApiAnswer> {
    let lease = request.lease.map(|ttl| (ttl, request.claim_id));
    let (id, plan) = insert(&request.call, request.place, Some(&request.key), lease, context.now);
    let claim = request.lease.map(|_| granted(id, 1, context));
    Decision::new(ApiAnswer::New { id, at: context.now, claim }, plan)
}

fn granted(id: Uuid, attempt: u32, context: &Context<'_>) -> ApiClaim {
    ApiClaim::Execute { lease: context.secret.lease_token(id, attempt) }
}

/// Who may run an execution, if the caller may not.
pub(crate) fn passive_claim(state: State) -> ApiClaim {
    match state {
        State::Pending | State::Working => ApiClaim::Busy { leased: false },
        State::Running { .. } => ApiClaim::Busy { leased: true },
        State::InDoubt { .. } => ApiClaim::InDoubt,
        State::Completed { .. } | State::Failed { .. } | State::Cancelled => ApiClaim::Replay,
    }
}

/// Claims an existing execution for the caller, if its state allows it.
fn claim<'a>(
    found: &Brief,
    ttl: Duration,
    claim_id: Option<[u8; 16]>,
    context: &Context<'_>,
) -> Result<Decision<'a, Option<ApiClaim>>, Error> {
    let mut plan = Plan::about(found);
    let attempt = match found.state {
        // The holder repeats its request: the first answer was lost.
        State::Running { attempt, .. } if claim_id.is_some() && claim_id == found.claim_id => {
            attempt
        }
        State::Failed { attempt: 1.., known: Knowledge::NotExecuted, .. }
        | State::InDoubt { released: true, .. } => {
            let next = state::next(found.state, Event::Claim, found.class)?;
            plan.step(found.state, next);
            plan.change(Change::Attempt(NewAttempt {
                lease_ms: Some(millis(ttl)),
                claim_id,
                after_doubt: matches!(found.state, State::InDoubt { .. }),
                terms: Terms::of_api(found.class, None),
            }));
            plan.change(Change::Touch { session: found.session });
            plan.log(EventKind::Claimed, next, Actor::Api, Detail::default());
            next.attempt()
        }
        state => return Ok(Decision::only(Some(passive_claim(state)))),
    };
    plan.effect(Effect::Leased { attempt, ttl });
    Ok(Decision::new(Some(granted(found.id, attempt, context)), plan))
}

/// Creates an execution. With `lease`, its first attempt is running.
fn insert<'a>(
    call: &'a ToolCall,
    place: Place,
    key: Option<&'a ToolCallKey>,
    lease: Option<(Duration, Option<[u8; 16]>)>,
    now: Timestamp,
) -> (Uuid, Plan<'a>) {
    let (state, kind) = match lease {
        Some(_) => {
            (State::Running { attempt: 1, prior: Knowledge::NotExecuted }, EventKind::Claimed)
        }
        None => (State::Pending, EventKind::Created),
    };
    let created = Created {
        id: Uuid::now_v7(),
        user: place.user,
        session: place.session,
        goal: place.goal,
        origin: Origin::Api,
        tool: &call.tool_name,
        input: call.tool_input.as_str(),
        key: key.map(|key| key.text.as_str()),
        principal: None,
        repeat: None,
        at: now,
    };
    let terms = Terms::of_api(EffectClass::Once, key.map(|key| key.fingerprint.short()));
    let id = created.id;
    let key = key.map(|key| KeyRow { holder: &key.holder, window: None, named_for: None });
    let detail = Detail { created: Some(created.digest().hex(CREATED)), ..Detail::default() }
        .on_terms(&terms.digest(), key);
    let lease_ms = lease.map(|(ttl, _)| millis(ttl));
    let claim_id = lease.and_then(|(_, claim_id)| claim_id);
    let mut plan = Plan::insert(NewExecution { created, state, lease_ms, claim_id, terms });
    if let Some(key) = key {
        plan.change(Change::Key(key));
    }
    plan.change(Change::Touch { session: place.session });
    plan.log(kind, state, Actor::Api, detail);
    if let Some((ttl, _)) = lease {
        plan.effect(Effect::Leased { attempt: 1, ttl });
    }
    (id, plan)
}
