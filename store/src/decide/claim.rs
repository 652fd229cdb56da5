//! Decides whether a proxied call may run.

use std::sync::Arc;

use store_core::Error;
use store_core::call::{Answer, Call, Doubt, Foreseen, Settled, Undelivered};
use store_core::key::Digest;
use store_core::model::{Actor, EffectClass, EventKind, Origin, Timestamp};
use store_core::state::{self, Event, Knowledge, State};
use uuid::Uuid;

use crate::clock::jumps::Jumps;
use crate::decide::brief::{Brief, Guard, Running};
use crate::decide::context::Context;
use crate::decide::event::Detail;
use crate::decide::execution::{CREATED, Created, KeyRow, NewExecution, Terms};
use crate::decide::plan::{Change, Decision, Effect, NewAttempt, Plan};
use crate::decide::{answer, doubt, guard, upstream_key};

/// The answer to a claim.
#[derive(Debug)]
pub(crate) enum ClaimAnswer {
    /// The call may run.
    Execute(Granted),
    /// The call took effect before.
    Replay(Arc<Settled>),
    /// An equal call took effect before, under another key, and its answer did not arrive.
    Undelivered(Arc<Settled>),
    /// The call is running now.
    Busy(Running),
    /// The call may have taken effect before.
    InDoubt(Doubt),
    /// The explicit key belongs to a different input.
    Mismatch {
        /// The execution that holds the key.
        execution_id: Uuid,
    },
}

/// An attempt that may run.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) execution_id: Uuid,
    pub(crate) attempt: u32,
    /// The attempt that began to use the engine's own key upstream.
    pub(crate) key_attempt: u32,
    pub(crate) key_text: Option<String>,
}

/// The cases of a claim, by what is stored.
#[derive(Debug)]
pub(crate) enum ClaimCase {
    /// No execution prevents it: it is a new one.
    Nothing,
    /// An execution that runs again.
    Again(Brief),
    Busy(Brief),
    Replay(Brief),
    Doubtful(Brief, FoundBy),
    /// It is the retry of a call whose answer did not arrive, or that runs and whose client has left.
    Undelivered(Brief),
    /// Held back as in doubt, with no way to release it.
    Held(Brief),
    Mismatch(Brief),
}

/// How an execution in doubt was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundBy {
    /// It holds the call's key.
    Key,
    /// It may have had the same effect, under any key.
    Content,
}

/// Why an execution runs again, for the log.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why {
    /// Nothing is against it.
    Claimed,
    /// Its doubt was released.
    Released,
    /// The upstream recognizes the repeat by its key.
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

/// First step: the case by the holder of the call's key (docs/SEMANTICS.md, "What a duplicate gets").
/// `holder` may hold a key that is free again at `now`: it is ignored then.
pub(crate) fn by_holder(
    holder: Option<Brief>,
    call: &Call,
    now: Timestamp,
    jumps: &Jumps,
) -> ClaimCase {
    match holder {
        Some(holder) if !holder.is_free(now, jumps) => case_of(holder, call),
        _ => ClaimCase::Nothing,
    }
}

fn case_of(holder: Brief, call: &Call) -> ClaimCase {
    let of_key = holder.named_for.or(holder.fingerprint);
    if !of_key.is_some_and(|stored| call.digests.is_fingerprint(stored)) {
        let same_content = holder.content == Some(call.digests.content.short());
        return match holder.state {
            // Under other rules it was the same call.
            State::InDoubt { .. } if same_content => ClaimCase::Doubtful(holder, FoundBy::Content),
            // Nothing ran under this key.
            State::Failed { known: Knowledge::NotExecuted, .. } | State::Cancelled => {
                ClaimCase::Nothing
            }
            _ => ClaimCase::Mismatch(holder),
        };
    }
    match holder.state {
        State::Running { .. } | State::Pending | State::Working => ClaimCase::Busy(holder),
        State::Completed { .. } => ClaimCase::Replay(holder),
        // The tool ran and returned an error: a repeat is a new call.
        State::Failed { known: Knowledge::Executed, .. } | State::Cancelled => ClaimCase::Nothing,
        // It was idempotent, and under the current rules it is not.
        State::Failed { known: Knowledge::Unknown, .. }
            if call.class != EffectClass::Idempotent =>
        {
            ClaimCase::Doubtful(holder, FoundBy::Key)
        }
        State::Failed { .. } => ClaimCase::Again(holder),
        State::InDoubt { .. } => ClaimCase::Doubtful(holder, FoundBy::Key),
    }
}

/// Whether it has the credentials and the whole input of the call.
fn is_same(hit: &Brief, call: &Call) -> bool {
    let fingerprint = |stored| call.digests.is_fingerprint(stored);
    doubt::is_own(hit, call) && hit.fingerprint.is_some_and(fingerprint)
}

impl ClaimCase {
    /// Second step, for calls that would run: whether [`Self::guarded`] needs the executions that hold back
    /// calls with this content.
    pub(crate) fn needs_doubt_guard(&self, call: &Call) -> bool {
        matches!(self, Self::Nothing | Self::Again(_)) && doubt::guards(call)
    }

    /// The case after the guard by content. `guarding`: all executions that hold back calls with this content.
    /// `undelivered_since`: answers that were given earlier are forgotten.
    pub(crate) fn guarded(
        self,
        guarding: Vec<Brief>,
        call: &Call,
        undelivered_since: Timestamp,
    ) -> Self {
        let Some(hit) = guard::same_call(guarding, call, undelivered_since) else { return self };
        match hit.guard {
            Some(Guard::Undelivered)
                if call.undelivered == Undelivered::Replay && is_same(&hit, call) =>
            {
                Self::Undelivered(hit)
            }
            Some(Guard::Outlived) if is_same(&hit, call) => Self::Undelivered(hit),
            // Its newest attempt runs, and an earlier one may have run as well.
            Some(Guard::Doubt) if matches!(hit.state, State::InDoubt { .. }) => {
                Self::Doubtful(hit, FoundBy::Content)
            }
            _ => Self::Held(hit),
        }
    }

    /// Third step: the row of the execution whose stored answer [`decide`] needs.
    pub(crate) fn needs_answer(&self) -> Option<i64> {
        match self {
            Self::Replay(holder) => Some(holder.row),
            Self::Undelivered(hit) if hit.state.is_terminal() => Some(hit.row),
            _ => None,
        }
    }
}

/// Last step: the answer, and what is to be written. `stored`: the answer that [`ClaimCase::needs_answer`]
/// named.
pub(crate) fn decide<'a>(
    case: ClaimCase,
    stored: Option<Answer>,
    call: &'a Call,
    context: &Context<'_>,
) -> Result<Decision<'a, ClaimAnswer>, Error> {
    Ok(match case {
        ClaimCase::Nothing => insert(call, context.now),
        ClaimCase::Again(holder) => again(Plan::about(&holder), &holder, call, Why::Claimed)?,
        ClaimCase::Busy(holder) => Decision::only(ClaimAnswer::Busy(Running::of(&holder))),
        ClaimCase::Replay(holder) => {
            let settled = Arc::new(answer::settled(&holder, stored));
            Decision::only(ClaimAnswer::Replay(settled))
        }
        ClaimCase::Doubtful(hit, found_by) => in_doubt(hit, found_by, call, context)?,
        ClaimCase::Undelivered(hit) => guard::redeliver(&hit, stored, call),
        ClaimCase::Held(hit) => {
            Decision::only(ClaimAnswer::InDoubt(guard::doubt_of(&hit, context)))
        }
        ClaimCase::Mismatch(holder) => {
            Decision::only(ClaimAnswer::Mismatch { execution_id: holder.id })
        }
    })
}

/// The answer that a claim would get at `now`. Redeems no token.
pub(crate) fn foresee(case: ClaimCase, call: &Call, now: Timestamp) -> Foreseen {
    match case {
        ClaimCase::Nothing => Foreseen::Execute,
        ClaimCase::Again(holder) => Foreseen::ExecuteAgain(holder.id),
        ClaimCase::Busy(holder) => Foreseen::Wait(holder.id),
        ClaimCase::Replay(holder) => Foreseen::Replay(holder.id),
        ClaimCase::Mismatch(holder) => Foreseen::Mismatch(holder.id),
        ClaimCase::Undelivered(hit) if hit.state.is_terminal() => Foreseen::Replay(hit.id),
        ClaimCase::Undelivered(hit) => Foreseen::Wait(hit.id),
        ClaimCase::Held(hit) => Foreseen::InDoubt { execution_id: hit.id, same_content: true },
        ClaimCase::Doubtful(hit, found_by) => {
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

/// Creates an execution, which takes the key.
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
        principal: Some(call.digests.principal.short()),
        repeat: call.digests.repeat.as_ref().map(Digest::short),
        at: now,
    };
    let state = State::Running { attempt: 1, prior: Knowledge::NotExecuted };
    let granted = Granted {
        execution_id: created.id,
        attempt: 1,
        key_attempt: 1,
        key_text: created.key.map(str::to_owned),
    };
    let detail = Detail { created: Some(created.digest().hex(CREATED)), ..Detail::default() };
    let terms = Terms::of(call, granted.key_attempt);
    let digest = terms.digest();
    let row = NewExecution { created, state, lease_ms: None, claim_id: None, terms };
    let mut plan = Plan::insert(row);
    grant(&mut plan, call, state, &digest, detail);
    Decision::new(ClaimAnswer::Execute(granted), plan)
}

/// Starts another attempt of an execution. The call's key then names it too.
fn again<'a>(
    mut plan: Plan<'a>,
    execution: &Brief,
    call: &'a Call,
    why: Why,
) -> Result<Decision<'a, ClaimAnswer>, Error> {
    let next = state::next(execution.state, Event::Claim, execution.class)?;
    plan.step(execution.state, next);
    // The new terms apply from now on: to the outcome of this attempt, and to what is a repeat of it.
    let key_attempt = upstream_key::next(execution);
    let terms = Terms::of(call, key_attempt);
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
        key_attempt,
        key_text: call.key.as_ref().map(|key| key.text.clone()),
    };
    Ok(Decision::new(ClaimAnswer::Execute(granted), plan))
}

/// What every granted claim writes: its key, the activity of its session, its event.
fn grant<'a>(
    plan: &mut Plan<'a>,
    call: &'a Call,
    state: State,
    terms: &Digest,
    detail: Detail<'a>,
) {
    let key = call.key.as_ref().map(KeyRow::first);
    if let Some(key) = key {
        plan.change(Change::Key(key));
    }
    plan.change(Change::Touch { session: call.scope.session });
    let detail = Detail { rule: Some(&call.rule), run: call.run.as_deref(), ..detail };
    plan.log(EventKind::Claimed, state, Actor::Proxy, detail.on_terms(terms, key));
    plan.effect(Effect::InFlight(1));
}

/// An execution in doubt runs again if a retry token, a release or the upstream's own key allows it.
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
