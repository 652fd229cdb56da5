//! How executions of the API end, or come back: told by the holder of the lease, lost, decided by a
//! person, or updated as v0.1 does.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;
use store_core::Error;
use store_core::call::{ApiFinish, Settled, Verdict};
use store_core::model::{ExecutionStatus, ExecutionUpdate, Json, Timestamp};
use store_core::state::{self, Event, Knowledge, State};
use uuid::Uuid;

use crate::decide::claim::brief_of;
use crate::decide::event::{Change, NewEvent, text_digest};
use crate::decide::execute::millis;
use crate::sqlite::error::Fail;
use crate::sqlite::queries;
use crate::sqlite::rows::Brief;
use crate::sqlite::transaction::{Effect, Told, Transaction};

/// Records what the holder of a lease tells. The inner error is told after the commit, since its
/// event must be kept.
pub(crate) fn finish(
    tx: &mut Transaction<'_>,
    id: Uuid,
    attempt: u32,
    finish: &ApiFinish,
) -> Result<Result<(), Error>, Fail> {
    let execution = brief_of(tx, id)?;
    let current = execution.state.attempt();
    if attempt != current {
        let kind = match finish.outcome {
            Knowledge::Executed => "possible-duplicate",
            Knowledge::NotExecuted | Knowledge::Unknown => "finished-late",
        };
        late(tx, &execution, attempt, kind, finish.outcome)?;
        return Ok(Err(Error::Stale(format!(
            "attempt {attempt} is over: attempt {current} is the current one; this outcome is kept in the log"
        ))));
    }
    if let Some(told) = execution.told {
        if told == finish.outcome {
            return Ok(Ok(()));
        }
        late(tx, &execution, attempt, "contradiction", finish.outcome)?;
        return Ok(Err(Error::Stale(format!(
            "attempt {attempt} was finished before as {told}; this outcome is kept in the log"
        ))));
    }
    let tool_error = finish.error.is_some();
    let event = Event::Finish { attempt, outcome: finish.outcome, tool_error };
    let next = state::next(execution.state, event, execution.class)?;
    if next == execution.state {
        tx.put_told(&execution, finish.outcome)?;
        late(tx, &execution, attempt, "finished-late", finish.outcome)?;
        tx.effects.push(Effect::Unleased(execution.id));
        return Ok(Ok(()));
    }
    let overturned = was_decided(execution.state) && next.outcome() != execution.state.outcome();
    let decided: Option<String> = match (&finish.output, execution.state) {
        (Some(_), _) | (None, State::Running { .. }) => None,
        // One that was recorded by decision stays; what runs has none.
        (None, _) => {
            tx.conn.prepare_cached(queries::OUTPUT)?.query_row([execution.id], |row| row.get(0))?
        }
    };
    let output = finish.output.as_ref().map(Json::as_str).or(decided.as_deref());
    let told = Told {
        outcome: finish.outcome,
        output,
        error: finish.error.as_deref(),
        last_event: finish.outcome.as_str(),
        sent_at: None,
    };
    tx.put_finish(&execution, next, &told)?;
    let kind = match execution.state {
        State::Running { .. } => "finished",
        _ if overturned => "verdict-overturned",
        _ => "finished-late",
    };
    let change =
        Change { output: text_digest(output), error: text_digest(told.error), ..Change::default() };
    tx.log(execution.id, next, kind, "api", change);
    tx.effects.push(Effect::Unleased(execution.id));
    tell(tx, &execution, next);
    Ok(Ok(()))
}

const fn was_decided(state: State) -> bool {
    matches!(state, State::Completed { decided: true, .. } | State::Failed { decided: true, .. })
}

/// Keeps in the log what changes nothing; told again, it is there already.
fn late(
    tx: &mut Transaction<'_>,
    execution: &Brief,
    attempt: u32,
    kind: &'static str,
    outcome: Knowledge,
) -> rusqlite::Result<()> {
    let there = tx.conn.prepare_cached(queries::EVENT_TOLD)?.exists(params![
        execution.id,
        attempt,
        kind,
        outcome.as_str()
    ])?;
    if !there {
        let change = Change { outcome: Some(outcome.as_str()), ..Change::default() };
        tx.event(NewEvent::execution(kind, execution.id, attempt, "api", &change));
    }
    Ok(())
}

/// Prolongs a lease, or revives the execution of one that ran out.
pub(crate) fn extend(
    tx: &mut Transaction<'_>,
    id: Uuid,
    attempt: u32,
    ttl: Duration,
) -> Result<(), Fail> {
    let execution = brief_of(tx, id)?;
    let lost = || {
        Error::LeaseLost(format!(
            "the lease of attempt {attempt} is gone: the execution is {} at attempt {}",
            execution.state.status(),
            execution.state.attempt()
        ))
    };
    if execution.told.is_some() {
        return Err(lost().into());
    }
    let next = state::next(execution.state, Event::Extend { attempt }, execution.class)
        .map_err(|_| lost())?;
    if next != execution.state {
        tx.put_state(&execution, next)?;
        tx.log(execution.id, next, "revived", "api", Change::default());
    }
    if execution.lease_ms != Some(millis(ttl)) {
        tx.conn.prepare_cached(queries::LEASE_PUT)?.execute(params![execution.id, millis(ttl)])?;
    }
    tx.effects.push(Effect::Leased(execution.id, attempt, ttl));
    Ok(())
}

/// A lease ran out: the outcome of its attempt is unknown from now on.
pub(crate) fn expire(tx: &mut Transaction<'_>, row: i64, attempt: u32) -> Result<(), Fail> {
    let execution = tx
        .conn
        .prepare_cached(queries::BRIEF_BY_ID)?
        .query_row([row], crate::sqlite::rows::brief)?;
    if !matches!(execution.state, State::Running { attempt: at, .. } if at == attempt) {
        return Ok(());
    }
    lose(tx, &execution, "lease expired")
}

/// Nobody will tell the outcome of the running attempt.
pub(crate) fn lose(tx: &mut Transaction<'_>, execution: &Brief, why: &str) -> Result<(), Fail> {
    let next = state::next(execution.state, Event::Lost, execution.class)?;
    tx.put_state(execution, next)?;
    tx.conn.prepare_cached(queries::LAST_EVENT_PUT)?.execute(params![execution.id, why])?;
    let change = Change { why: Some(why), ..Change::default() };
    tx.log(execution.id, next, "lost", "engine", change);
    tell(tx, execution, next);
    Ok(())
}

/// Records a decision about an execution in doubt.
pub(crate) fn resolve(tx: &mut Transaction<'_>, verdict: &Verdict) -> Result<(), Fail> {
    let execution = brief_of(tx, verdict.id)?;
    let event = Event::Verdict { attempt: verdict.attempt, executed: verdict.executed };
    let next = state::next(execution.state, event, execution.class).map_err(|_| {
        Error::Stale(format!(
            "the execution is {} at attempt {}, not in doubt at attempt {}",
            execution.state.status(),
            execution.state.attempt(),
            verdict.attempt
        ))
    })?;
    tx.put_state(&execution, next)?;
    let output = verdict.output.as_ref().map(Json::as_str);
    let error = (!verdict.executed).then_some("it did not run, by decision");
    tx.conn.prepare_cached(queries::OUTPUT_PUT)?.execute(params![execution.id, output, error])?;
    let change = Change {
        why: Some(&verdict.evidence),
        output: text_digest(output),
        error: text_digest(error),
        ..Change::default()
    };
    tx.log(execution.id, next, "verdict", &verdict.actor, change);
    tx.effects.push(Effect::Unleased(execution.id));
    tell(tx, &execution, next);
    Ok(())
}

/// v0.1's update of an execution that was never leased.
pub(crate) fn update(
    tx: &mut Transaction<'_>,
    update: &ExecutionUpdate,
    if_updated_at: Option<Timestamp>,
) -> Result<(), Fail> {
    let brief = brief_of(tx, update.id)?;
    if brief.state.attempt() > 0 {
        return Err(Error::LeaseLost(
            "the execution was claimed under a lease: only finish_tool_execution, extend_lease and \
             resolve_tool_execution change it"
                .to_owned(),
        )
        .into());
    }
    let (row, now) = tx
        .conn
        .prepare_cached(queries::EXECUTION_BY_UUID)?
        .query_row([update.id.as_bytes()], crate::sqlite::rows::execution)?;
    crate::sqlite::entities::check_fresh(now.updated_at, if_updated_at)?;
    let status = update.status.unwrap_or(now.status);
    let next = state::next(brief.state, Event::Set(status), brief.class)?;
    let output = update.output.clone().unwrap_or(now.output);
    let error = update.error.clone().unwrap_or(now.error);
    let at = tx.now;
    let begun = status == ExecutionStatus::Running;
    let started = update.started_at.unwrap_or(now.started_at).or(begun.then_some(at));
    let ended = next.is_terminal();
    let completed = update.completed_at.unwrap_or(now.completed_at).or(ended.then_some(at));
    let ended_at = ended.then(|| brief.ended_at.unwrap_or(at));
    tx.conn.prepare_cached(queries::UNLEASED_PUT)?.execute(params![
        row,
        status.number(),
        next.outcome().map(Knowledge::number),
        output.as_ref().map(Json::as_str),
        error,
        started.map(Timestamp::as_micros),
        completed.map(Timestamp::as_micros),
        ended_at.map(Timestamp::as_micros),
        at.as_micros(),
    ])?;
    tx.count_change(brief.state, next);
    let change = Change {
        output: text_digest(output.as_ref().map(Json::as_str)),
        error: text_digest(error.as_deref()),
        ..Change::default()
    };
    tx.log(row, next, "updated", "api", change);
    if ended {
        tell(tx, &brief, next);
    }
    Ok(())
}

/// Tells those who wait that an execution is no longer running.
fn tell(tx: &mut Transaction<'_>, execution: &Brief, state: State) {
    let settled = Settled {
        execution_id: execution.uuid,
        attempt: state.attempt(),
        outcome: state.outcome().unwrap_or(Knowledge::Unknown),
        answer: None,
        error: None,
        problem: None,
        doubt: None,
    };
    tx.effects.push(Effect::Settled(execution.id, Arc::new(settled)));
}
