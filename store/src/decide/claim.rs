//! May a proxied call run: what a claim would meet, and what it then gets.

use std::sync::Arc;

use store_core::Error;
use store_core::call::{Answer, Call, Doubt, Foreseen, Settled};
use store_core::key::Digest;
use store_core::model::{Actor, EffectClass, EventKind, Origin, Timestamp};
use store_core::state::{self, Event, Knowledge, State};
use uuid::Uuid;

use crate::decide::brief::{Brief, Running};
use crate::decide::context::Context;
use crate::decide::event::Detail;
use crate::decide::execution::{CREATED, Created, KeyRow, NewExecution, Terms};
use crate::decide::plan::{Change, Decision, Effect, NewAttempt, Plan, micros};
use crate::decide::{answer, doubt};

/// The answer to a claim.
#[derive(Debug)]
pub(crate) enum ClaimAnswer {
    /// It may run.
    Execute(Granted),
    /// It took effect before.
    Replay(Arc<Settled>),
    /// It runs now.
    Busy(Running),
    /// It may have taken effect before.
    InDoubt(Doubt),
    /// The explicit key belongs to another input.
    Mismatch {
        /// Who holds the key.
        execution_id: Uuid,
    },
}

/// An attempt that may run.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) execution_id: Uuid,
    pub(crate) attempt: u32,
    pub(crate) key_text: Option<String>,
}

/// What a claim meets, before anything is written.
#[derive(Debug)]
pub(crate) enum Met {
    /// Nothing: it would be a new execution.
    Nothing,
    /// An execution that would run once more.
    Again(Brief),
    Busy(Brief),
    Replay(Brief),
    Doubtful(Brief, FoundBy),
    Mismatch(Brief),
}

/// How an execution in doubt was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundBy {
    /// It holds the call's key.
    Key,
    /// It may have done the same, under whatever key.
    Content,
}

/// Why an execution runs once more, as the log says it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why {
    /// Nothing stands against it.
    Claimed,
    /// Its doubt was released.
    Released,
    /// The upstream tells a repeat by its key.
    UpstreamKey,
}

impl Why {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Released => "released",
            Self::UpstreamKey => "upstream-key",
        }
    }
}

/// First step: what the holder of the call's key says of it (docs/SEMANTICS.md, "What a duplicate gets").
/// `holder` is whoever holds the key, free or not; a key that is free at `expiry` holds nobody back.
pub(crate) fn by_holder(holder: Option<Brief>, call: &Call, expiry: Option<Timestamp>) -> Met {
    let is_free = |holder: &Brief| expiry.is_some_and(|now| holder.is_free(now));
    match holder {
        Some(holder) if !is_free(&holder) => met(holder, call),
        _ => Met::Nothing,
    }
}

fn met(holder: Brief, call: &Call) -> Met {
    if holder.fingerprint != Some(call.fingerprint.short()) {
        let same_content = holder.content == Some(call.content.short());
        return match holder.state {
            // By other rules it was the same call.
            State::InDoubt { .. } if same_content => Met::Doubtful(holder, FoundBy::Content),
            // Nothing ran that the key could protect.
            State::Failed { known: Knowledge::NotExecuted, .. } | State::Cancelled => Met::Nothing,
            _ => Met::Mismatch(holder),
        };
    }
    match holder.state {
        State::Running { .. } | State::Pending | State::Working => Met::Busy(holder),
        State::Completed { .. } => Met::Replay(holder),
        // The tool ran and called it an error: asking again is a new call.
        State::Failed { known: Knowledge::Executed, .. } | State::Cancelled => Met::Nothing,
        // It was idempotent, and by the rules of today it is not.
        State::Failed { known: Knowledge::Unknown, .. }
            if call.class != EffectClass::Idempotent =>
        {
            Met::Doubtful(holder, FoundBy::Key)
        }
        State::Failed { .. } => Met::Again(holder),
        State::InDoubt { .. } => Met::Doubtful(holder, FoundBy::Key),
    }
}

impl Met {
    /// Second step, for whatever would run: the doubt guard has to be shown what is in doubt of the call's
    /// content.
    pub(crate) fn needs_doubt_guard(&self, call: &Call) -> bool {
        matches!(self, Self::Nothing | Self::Again(_)) && doubt::guards(call)
    }

    /// What the doubt guard says, shown all that is in doubt of the call's content.
    pub(crate) fn guarded(self, in_doubt: Vec<Brief>, call: &Call) -> Self {
        match doubt::same_call(in_doubt, call) {
            Some(hit) => Self::Doubtful(hit, FoundBy::Content),
            None => self,
        }
    }

    /// Third step: the execution whose stored answer the claim is answered with.
    pub(crate) fn needs_answer(&self) -> Option<i64> {
        match self {
            Self::Replay(holder) => Some(holder.row),
            _ => None,
        }
    }
}

/// Last step: what the call gets. `stored` is the answer that [`Met::needs_answer`] named.
pub(crate) fn decide<'a>(
    met: Met,
    stored: Option<Answer>,
    call: &'a Call,
    context: &Context<'_>,
) -> Result<Decision<'a, ClaimAnswer>, Error> {
    Ok(match met {
        Met::Nothing => insert(call, context.now),
        Met::Again(holder) => again(Plan::about(&holder), &holder, call, Why::Claimed)?,
        Met::Busy(holder) => Decision::only(ClaimAnswer::Busy(Running::of(&holder))),
        Met::Replay(holder) => {
            let settled = Arc::new(answer::settled(&holder, stored));
            Decision::only(ClaimAnswer::Replay(settled))
        }
        Met::Doubtful(hit, found_by) => in_doubt(hit, found_by, call, context)?,
        Met::Mismatch(holder) => Decision::only(ClaimAnswer::Mismatch { execution_id: holder.id }),
    })
}

/// What a claim would get at `now`, without making it: no token is redeemed.
pub(crate) fn foresee(met: Met, call: &Call, now: Timestamp) -> Foreseen {
    match met {
        Met::Nothing => Foreseen::Execute,
        Met::Again(holder) => Foreseen::ExecuteAgain(holder.id),
        Met::Busy(holder) => Foreseen::Wait(holder.id),
        Met::Replay(holder) => Foreseen::Replay(holder.id),
        Met::Mismatch(holder) => Foreseen::Mismatch(holder.id),
        Met::Doubtful(hit, found_by) => {
            let released = matches!(hit.state, State::InDoubt { released: true, .. })
                && doubt::is_own(&hit, call);
            if released || found_by == FoundBy::Key && doubt::upstream_still_knows(now, &hit, call)
            {
                Foreseen::ExecuteAgain(hit.id)
            } else {
                let same_content = found_by == FoundBy::Content;
                Foreseen::InDoubt { execution_id: hit.id, same_content }
            }
        }
    }
}

/// A new execution takes the key.
fn insert(call: &Call, now: Timestamp) -> Decision<'_, ClaimAnswer> {
    let created = Created {
        id: Uuid::now_v7(),
        user: call.scope.user,
        session: call.scope.session,
        goal: call.scope.goal,
        origin: Origin::Proxy,
        tool: &call.tool_name,
        input: call.input.as_str(),
        key: call.key.as_ref().map(|key| key.text.as_str()),
        principal: Some(call.principal.short()),
        repeat: call.repeat.as_ref().map(Digest::short),
        at: now,
    };
    let state = State::Running { attempt: 1, prior: Knowledge::NotExecuted };
    let granted =
        Granted { execution_id: created.id, attempt: 1, key_text: created.key.map(str::to_owned) };
    let detail = Detail { created: Some(created.digest().hex(CREATED)), ..Detail::default() };
    let terms = Terms::of(call);
    let digest = terms.digest();
    let row = NewExecution { created, state, lease_ms: None, claim_id: None, terms };
    let mut plan = Plan::insert(row);
    grant(&mut plan, call, state, &digest, detail);
    Decision::new(ClaimAnswer::Execute(granted), plan)
}

/// One more attempt of an execution; the caller's key then names it too.
fn again<'a>(
    mut plan: Plan<'a>,
    execution: &Brief,
    call: &'a Call,
    why: Why,
) -> Result<Decision<'a, ClaimAnswer>, Error> {
    let next = state::next(execution.state, Event::Claim, execution.class)?;
    plan.step(execution.state, next);
    // By whatever terms it went out before: how this attempt ends, and what is a repeat of it, the new ones say.
    let terms = Terms::of(call);
    let digest = terms.digest();
    plan.change(Change::Attempt(NewAttempt {
        lease_ms: None,
        claim_id: None,
        after_doubt: matches!(execution.state, State::InDoubt { .. }),
        terms,
    }));
    plan.change(Change::NoAnswer);
    let detail = Detail { why: Some(why.as_str()), ..Detail::default() };
    grant(&mut plan, call, next, &digest, detail);
    let granted = Granted {
        execution_id: execution.id,
        attempt: next.attempt(),
        key_text: call.key.as_ref().map(|key| key.text.clone()),
    };
    Ok(Decision::new(ClaimAnswer::Execute(granted), plan))
}

/// What every granted claim writes: its key, its session's activity, its event.
fn grant<'a>(
    plan: &mut Plan<'a>,
    call: &'a Call,
    state: State,
    terms: &Digest,
    detail: Detail<'a>,
) {
    let key =
        call.key.as_ref().map(|key| KeyRow { holder: &key.holder, window: key.window.map(micros) });
    if let Some(key) = key {
        plan.change(Change::Key(key));
    }
    plan.change(Change::Touch { session: call.scope.session });
    let detail = Detail { rule: Some(&call.rule), run: call.run.as_deref(), ..detail };
    plan.log(EventKind::Claimed, state, Actor::Proxy, detail.on_terms(terms, key));
    plan.effect(Effect::InFlight(1));
}

/// An execution in doubt: runs again where a token, a mark or the upstream's own key allows it.
fn in_doubt<'a>(
    mut execution: Brief,
    found_by: FoundBy,
    call: &'a Call,
    context: &Context<'_>,
) -> Result<Decision<'a, ClaimAnswer>, Error> {
    let mut plan = Plan::about(&execution);
    doubt::enter(&mut plan, &mut execution)?;
    let State::InDoubt { attempt, released, .. } = execution.state else {
        return Err(Error::Internal);
    };
    let own = doubt::is_own(&execution, call);
    if own {
        let redeemed = call
            .retry_token
            .as_deref()
            .and_then(|token| context.secret.read_retry_token(token, context.now))
            == Some((execution.id, attempt));
        if redeemed && !released {
            doubt::release(&mut plan, &execution, attempt)?;
        }
        if redeemed || released {
            let released = Event::Release { attempt };
            execution.state = state::next(execution.state, released, execution.class)?;
            return again(plan, &execution, call, Why::Released);
        }
    }
    if found_by == FoundBy::Key && doubt::upstream_still_knows(context.now, &execution, call) {
        return again(plan, &execution, call, Why::UpstreamKey);
    }
    let mut doubt = doubt::of(&execution, attempt, context);
    doubt.same_content = found_by == FoundBy::Content;
    if doubt.same_content && !own {
        doubt.retry_token = None;
    }
    Ok(Decision::new(ClaimAnswer::InDoubt(doubt), plan))
}
