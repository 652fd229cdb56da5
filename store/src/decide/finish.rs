//! Decides what the outcome of a proxied call changes.

use std::sync::Arc;

use store_core::Error;
use store_core::call::{Doubt, Finish, Settled};
use store_core::model::{Actor, EffectClass, EventKind};
use store_core::state::{self, Event, Knowledge, State};

use crate::decide::answer::{self, AnswerRow};
use crate::decide::brief::Brief;
use crate::decide::context::Context;
use crate::decide::doubt;
use crate::decide::event::{Detail, NewEvent, text_digest};
use crate::decide::plan::{Change, Decision, Effect, Plan, Reported};
use crate::decide::settle::was_decided;

/// Ends an attempt with the outcome that the holder of its lease reports.
pub(crate) fn decide<'a>(
    execution: &Brief,
    attempt: u32,
    finish: &'a Finish,
    context: &Context<'_>,
) -> Result<Decision<'a, Arc<Settled>>, Error> {
    if execution.state.attempt() != attempt || execution.reported.is_some() {
        return Err(Error::Stale(format!("attempt {attempt} of {} is over", execution.id)));
    }
    let next = state::next(execution.state, event_of(attempt, finish), execution.class)?;
    let mut plan = Plan::about(execution);
    let kind = match execution.state {
        State::Running { .. } => EventKind::Finished,
        _ => EventKind::FinishedLate,
    };
    let row = finish.answer.as_ref().map(AnswerRow::of);
    let answer = finish.answer.as_ref().zip(row.as_ref());
    let answer = answer.map(|(answer, row)| answer::shared(answer, row, execution.row));
    if write(&mut plan, execution, next, kind, finish, row) {
        plan.effect(Effect::Given(execution.id));
    }
    let settled =
        Arc::new(Settled { answer, ..settled(execution, attempt, finish, next, context) });
    plan.effect(Effect::InFlight(-1));
    plan.effect(Effect::Settled(Arc::clone(&settled)));
    Ok(Decision::new(settled, plan))
}

/// An answer that came after its attempt was finished as of unknown outcome. It settles the doubt; that of
/// an attempt which is not the newest any more, or which settles nothing, is only logged.
pub(crate) fn late<'a>(
    execution: &Brief,
    attempt: u32,
    finish: &'a Finish,
) -> Result<Decision<'a, ()>, Error> {
    let mut plan = Plan::about(execution);
    let newest = execution.state.attempt() == attempt;
    let next = if newest {
        state::next(execution.state, event_of(attempt, finish), execution.class)?
    } else {
        execution.state
    };
    if next == execution.state {
        let kind = match finish.outcome {
            Knowledge::Executed if !newest => EventKind::PossibleDuplicate,
            _ => EventKind::FinishedLate,
        };
        let detail = Detail {
            outcome: Some(finish.outcome),
            why: Some(&finish.last_event),
            ..Detail::default()
        };
        plan.events.push(NewEvent::attempt(kind, attempt, Actor::Proxy, &detail));
        return Ok(Decision::new((), plan));
    }
    let kind = if was_decided(execution.state) && next.outcome() != execution.state.outcome() {
        EventKind::VerdictOverturned
    } else {
        EventKind::FinishedLate
    };
    let row = finish.answer.as_ref().map(AnswerRow::of);
    if write(&mut plan, execution, next, kind, finish, row) {
        // Nobody waits for it any more.
        plan.change(Change::Undelivered);
        plan.effect(Effect::Given(execution.id));
    }
    Ok(Decision::new((), plan))
}

const fn event_of(attempt: u32, finish: &Finish) -> Event {
    Event::Finish { attempt, outcome: finish.outcome, tool_error: finish.tool_error }
}

/// Plans the new state with what was reported, and its event. True: it ran, and its answer may be given.
fn write<'a>(
    plan: &mut Plan<'a>,
    execution: &Brief,
    next: State,
    kind: EventKind,
    finish: &'a Finish,
    answer: Option<AnswerRow<'a>>,
) -> bool {
    let gives_answer = next.is_terminal()
        && next.outcome() == Some(Knowledge::Executed)
        && execution.class != EffectClass::Idempotent;
    let reported = Reported {
        outcome: finish.outcome,
        output: None,
        error: finish.error.as_deref(),
        last_event: &finish.last_event,
        sent_at: finish.sent_at,
        gives_answer,
    };
    plan.finish(execution.state, next, reported);
    plan.log(kind, next, Actor::Proxy, detail(finish, answer.as_ref()));
    if let Some(answer) = answer {
        plan.change(Change::Answer(answer));
    }
    gives_answer
}

fn detail<'a>(finish: &'a Finish, answer: Option<&AnswerRow<'_>>) -> Detail<'a> {
    Detail {
        outcome: Some(finish.outcome),
        error: text_digest(finish.error.as_deref()),
        body: answer.map(|answer| answer.sha256.hex(32)),
        answer: answer.map(|answer| answer.rest.digest().hex(16)),
        not_kept: answer.is_some_and(|answer| answer.body.is_none()),
        answer_status: answer.map(|answer| answer.rest.status),
        why: Some(&finish.last_event),
        sent_at: finish.sent_at,
        first_byte_at: finish.first_byte_at,
        ..Detail::default()
    }
}

/// The outcome for the call's duplicates, without the answer.
fn settled(
    execution: &Brief,
    attempt: u32,
    finish: &Finish,
    next: State,
    context: &Context<'_>,
) -> Settled {
    Settled {
        execution_id: execution.id,
        attempt,
        outcome: next.outcome().unwrap_or(Knowledge::Unknown),
        answer: None,
        error: finish.error.clone(),
        problem: finish.problem.clone(),
        doubt: matches!(next, State::InDoubt { .. }).then(|| Doubt {
            sent_at: finish.sent_at.or(execution.started_at).unwrap_or(context.now),
            last_event: finish.last_event.clone(),
            ..doubt::of(execution, attempt, context)
        }),
    }
}
