//! Decides how executions end or continue: by a report of the lease holder, a lost lease, a verdict, or an
//! update as in v0.1.

use std::time::Duration;

use store_core::Error;
use store_core::call::{ApiFinish, Verdict};
use store_core::model::{
    Actor, EventKind, Execution, ExecutionStatus, ExecutionUpdate, Json, Timestamp,
};
use store_core::state::{self, Event, Knowledge, State};

use crate::decide::brief::Brief;
use crate::decide::event::{Detail, NewEvent, text_digest};
use crate::decide::plan::{Change, Decision, Effect, Plan, Reported, UnleasedRow, millis};

/// The cases of a report of a lease holder.
#[derive(Debug)]
pub(crate) enum ReportCase {
    /// The same was reported before.
    Known,
    /// It does not change the state; it is logged once.
    Late(Late),
    /// It settles the attempt.
    Settles(State),
}

/// A report that does not change the state.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) kind: EventKind,
    pub(crate) attempt: u32,
    pub(crate) outcome: Knowledge,
    /// Returned after the commit, since the event must be written. `None`: the report is accepted, and ends
    /// the lease.
    refusal: Option<Error>,
}

/// First step: the case of the report.
pub(crate) fn report(
    execution: &Brief,
    attempt: u32,
    finish: &ApiFinish,
) -> Result<ReportCase, Error> {
    let outcome = finish.outcome;
    let late = |kind, refusal| ReportCase::Late(Late { kind, attempt, outcome, refusal });
    let current = execution.state.attempt();
    if attempt != current {
        let kind = match outcome {
            Knowledge::Executed => EventKind::PossibleDuplicate,
            Knowledge::NotExecuted | Knowledge::Unknown => EventKind::FinishedLate,
        };
        let refusal = Error::Stale(format!(
            "attempt {attempt} is over: attempt {current} is the current one; this outcome is kept in the log"
        ));
        return Ok(late(kind, Some(refusal)));
    }
    if let Some(reported) = execution.reported {
        if reported == outcome {
            return Ok(ReportCase::Known);
        }
        let refusal = Error::Stale(format!(
            "attempt {attempt} was already finished as {reported}; this outcome is kept in the log"
        ));
        return Ok(late(EventKind::Contradiction, Some(refusal)));
    }
    let event = Event::Finish { attempt, outcome, tool_error: finish.error.is_some() };
    let next = state::next(execution.state, event, execution.class)?;
    Ok(if next == execution.state {
        late(EventKind::FinishedLate, None)
    } else {
        ReportCase::Settles(next)
    })
}

impl Late {
    /// Last step. `is_logged`: the log already has such an event for this attempt and outcome.
    pub(crate) fn decide(
        self,
        execution: &Brief,
        is_logged: bool,
    ) -> Decision<'static, Result<(), Error>> {
        let mut plan = Plan::about(execution);
        if self.refusal.is_none() {
            plan.change(Change::Reported(self.outcome));
            plan.effect(Effect::Unleased);
        }
        if !is_logged {
            let detail = Detail { outcome: Some(self.outcome), ..Detail::default() };
            plan.events.push(NewEvent::attempt(self.kind, self.attempt, Actor::Api, &detail));
        }
        Decision::new(self.refusal.map_or(Ok(()), Err), plan)
    }
}

/// Whether [`settle`] needs the stored output: the output of a verdict stays if the report has none. A
/// running execution has no output.
pub(crate) fn needs_output(execution: &Brief, finish: &ApiFinish) -> bool {
    finish.output.is_none() && !matches!(execution.state, State::Running { .. })
}

/// Last step: ends the attempt with the state `next`.
pub(crate) fn settle<'a>(
    execution: &Brief,
    finish: &'a ApiFinish,
    next: State,
    stored_output: Option<&'a str>,
) -> Plan<'a> {
    let overturned = was_decided(execution.state) && next.outcome() != execution.state.outcome();
    let kind = match execution.state {
        State::Running { .. } => EventKind::Finished,
        _ if overturned => EventKind::VerdictOverturned,
        _ => EventKind::FinishedLate,
    };
    let output = finish.output.as_ref().map(Json::as_str).or(stored_output);
    let error = finish.error.as_deref();
    let mut plan = Plan::about(execution);
    let reported = Reported {
        outcome: finish.outcome,
        output,
        error,
        last_event: finish.outcome.as_str(),
        sent_at: None,
        gives_answer: false,
    };
    plan.finish(execution.state, next, reported);
    let detail =
        Detail { output: text_digest(output), error: text_digest(error), ..Detail::default() };
    plan.log(kind, next, Actor::Api, detail);
    plan.effect(Effect::Unleased);
    plan.settle(execution, next);
    plan
}

/// Whether a person decided the outcome.
pub(super) const fn was_decided(state: State) -> bool {
    matches!(state, State::Completed { decided: true, .. } | State::Failed { decided: true, .. })
}

/// Extends a lease, or revives an execution whose lease expired.
pub(crate) fn extend(
    execution: &Brief,
    attempt: u32,
    ttl: Duration,
) -> Result<Plan<'static>, Error> {
    let lost = || {
        Error::LeaseLost(format!(
            "the lease of attempt {attempt} is gone: the execution is {} at attempt {}",
            execution.state.status(),
            execution.state.attempt()
        ))
    };
    if execution.reported.is_some() {
        return Err(lost());
    }
    let next = state::next(execution.state, Event::Extend { attempt }, execution.class)
        .map_err(|_| lost())?;
    let mut plan = Plan::about(execution);
    if next != execution.state {
        plan.step(execution.state, next);
        plan.log(EventKind::Revived, next, Actor::Api, Detail::default());
    }
    if execution.lease_ms != Some(millis(ttl)) {
        plan.change(Change::Lease(millis(ttl)));
    }
    plan.effect(Effect::Leased { attempt, ttl });
    Ok(plan)
}

/// Ends an attempt whose lease expired; its outcome is unknown. `None`: it has ended already.
pub(crate) fn expire(execution: &Brief, attempt: u32) -> Result<Option<Plan<'static>>, Error> {
    match execution.state {
        State::Running { attempt: at, .. } if at == attempt => {
            lose(execution, "lease expired").map(Some)
        }
        _ => Ok(None),
    }
}

/// Ends a running attempt of which nobody will report the outcome.
pub(crate) fn lose<'a>(execution: &Brief, why: &'a str) -> Result<Plan<'a>, Error> {
    let next = state::next(execution.state, Event::Lost, execution.class)?;
    let mut plan = Plan::about(execution);
    plan.step(execution.state, next);
    plan.change(Change::LastEvent(why));
    let detail = Detail { why: Some(why), ..Detail::default() };
    plan.log(EventKind::Lost, next, Actor::Engine, detail);
    plan.settle(execution, next);
    Ok(plan)
}

/// Records a verdict about an execution in doubt.
pub(crate) fn resolve<'a>(execution: &Brief, verdict: &'a Verdict) -> Result<Plan<'a>, Error> {
    let event = Event::Verdict { attempt: verdict.attempt, executed: verdict.executed };
    let next = state::next(execution.state, event, execution.class).map_err(|_| {
        Error::Stale(format!(
            "the execution is {} at attempt {}, not in doubt at attempt {}",
            execution.state.status(),
            execution.state.attempt(),
            verdict.attempt
        ))
    })?;
    let output = verdict.output.as_ref().map(Json::as_str);
    let error = (!verdict.executed).then_some("it did not run, by decision");
    let mut plan = Plan::about(execution);
    plan.step(execution.state, next);
    plan.change(Change::Output { output, error });
    let detail = Detail {
        why: Some(&verdict.evidence),
        output: text_digest(output),
        error: text_digest(error),
        ..Detail::default()
    };
    plan.log(EventKind::Verdict, next, verdict.actor.as_str().into(), detail);
    plan.effect(Effect::Unleased);
    plan.settle(execution, next);
    Ok(plan)
}

/// First step of [`update`]: refuses an execution that was leased.
pub(crate) fn check_unleased(execution: &Brief) -> Result<(), Error> {
    if execution.state.attempt() == 0 {
        return Ok(());
    }
    Err(Error::LeaseLost(
        "the execution was claimed under a lease: only finish_tool_execution, extend_lease and \
         resolve_tool_execution change it"
            .to_owned(),
    ))
}

/// Last step: v0.1's update of an execution that was never leased. `current`: the whole execution.
pub(crate) fn update(
    execution: &Brief,
    current: Execution,
    update: &ExecutionUpdate,
    now: Timestamp,
) -> Result<Plan<'static>, Error> {
    let status = update.status.unwrap_or(current.status);
    let next = state::next(execution.state, Event::Set(status), execution.class)?;
    let output = update.output.clone().unwrap_or(current.output);
    let error = update.error.clone().unwrap_or(current.error);
    let output = output.as_ref().map(Json::as_str);
    let begun = status == ExecutionStatus::Running;
    let ended = next.is_terminal();
    let detail = Detail {
        output: text_digest(output),
        error: text_digest(error.as_deref()),
        ..Detail::default()
    };
    let mut plan = Plan::about(execution);
    plan.change(Change::Unleased(UnleasedRow {
        status,
        known: next.outcome(),
        output: output.map(str::to_owned),
        error,
        started_at: update.started_at.unwrap_or(current.started_at).or(begun.then_some(now)),
        completed_at: update.completed_at.unwrap_or(current.completed_at).or(ended.then_some(now)),
        ended_at: ended.then(|| execution.ended_at.unwrap_or(now)),
    }));
    plan.count(execution.state, next);
    plan.log(EventKind::Updated, next, Actor::Api, detail);
    if ended {
        plan.settle(execution, next);
    }
    Ok(plan)
}
