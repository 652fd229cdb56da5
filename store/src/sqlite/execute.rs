//! Executions that come by the API: v0.1's unleased ones, and those claimed under a lease.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;
use uuid::Uuid;

use super::claim::{brief_of, holder};
use super::error::Fail;
use super::events::{Change, NewEvent};
use super::ids::Place;
use super::queries;
use super::rows::Brief;
use super::write::{Effect, Told, Write};
use crate::call::{ApiClaim, ApiFinish, Settled, ToolCallKey, Verdict, Waiter};
use crate::key::Digest;
use crate::model::{
    EffectClass, ExecutionStatus, ExecutionUpdate, Json, Origin, Timestamp, ToolCall,
};
use crate::state::{self, Event, Knowledge, State};
use crate::{Error, new_id};

/// The answer of the writer to `execute_tool_idempotent`.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) id: Uuid,
    pub(super) row: i64,
    pub(super) at: Timestamp,
    pub(super) duplicate: bool,
    pub(super) mismatch: bool,
    pub(super) claim: Option<ApiClaim>,
    /// To wait for a busy one; only where the caller wants to.
    pub(super) waiter: Option<Waiter>,
}

/// What a caller wants beyond the record.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) lease: Option<Duration>,
    pub(super) claim_id: Option<[u8; 16]>,
    pub(super) wait: bool,
    pub(super) refuse_mismatch: bool,
}

/// Records a call without a key.
pub(super) fn create(
    write: &mut Write<'_>,
    call: &ToolCall,
    place: Place,
) -> Result<(Uuid, i64), Fail> {
    let wish = Wish { lease: None, claim_id: None, wait: false, refuse_mismatch: false };
    insert(write, call, place, None, &wish)
}

/// Finds or makes the execution that holds a key, and decides who may run it.
pub(super) fn execute(
    write: &mut Write<'_>,
    call: &ToolCall,
    place: Place,
    key: &ToolCallKey,
    wish: &Wish,
) -> Result<Decided, Fail> {
    let Some(found) = holder(write.conn, key.holder.as_bytes())? else {
        let (id, row) = insert(write, call, place, Some(key), wish)?;
        let claim = wish.lease.map(|_| execute_claim(write, id, 1));
        return Ok(Decided {
            id,
            row,
            at: write.now,
            duplicate: false,
            mismatch: false,
            claim,
            waiter: None,
        });
    };
    let mismatch = found.fingerprint != Some(key.fingerprint.short());
    if mismatch && wish.refuse_mismatch {
        return Err(Error::KeyReuse { execution: found.uuid }.into());
    }
    let claim = match wish.lease {
        None => None,
        Some(_) if mismatch => Some(passive_claim(found.state)),
        Some(ttl) => Some(claim(write, &found, ttl, wish)?),
    };
    let busy = matches!(claim, Some(ApiClaim::Busy { .. }))
        || (claim.is_none() && !found.state.is_terminal());
    let waiter = (busy && wish.wait).then(|| write.waiter(&found));
    Ok(Decided {
        id: found.uuid,
        row: found.id,
        at: write.now,
        duplicate: true,
        mismatch,
        claim,
        waiter,
    })
}

fn execute_claim(write: &Write<'_>, id: Uuid, attempt: u32) -> ApiClaim {
    ApiClaim::Execute { lease: write.secret.lease_token(id, attempt) }
}

/// Who may run an execution, where the asker may not.
pub(super) fn passive_claim(state: State) -> ApiClaim {
    match state {
        State::Pending | State::Working => ApiClaim::Busy { leased: false },
        State::Running { .. } => ApiClaim::Busy { leased: true },
        State::InDoubt { .. } => ApiClaim::InDoubt,
        State::Completed { .. } | State::Failed { .. } | State::Cancelled => ApiClaim::Replay,
    }
}

/// Claims an existing execution for the asker, where its state allows it.
fn claim(
    write: &mut Write<'_>,
    found: &Brief,
    ttl: Duration,
    wish: &Wish,
) -> Result<ApiClaim, Fail> {
    match found.state {
        // The holder asks again: its first answer was lost.
        State::Running { attempt, .. }
            if wish.claim_id.is_some() && wish.claim_id == found.claim_id =>
        {
            write.effects.push(Effect::Leased(found.id, attempt, ttl));
            Ok(execute_claim(write, found.uuid, attempt))
        }
        State::Failed { attempt: 1.., known: Knowledge::NotExecuted, .. }
        | State::InDoubt { released: true, .. } => {
            let next = state::next(found.state, Event::Claim, found.class)?;
            write.put_state(found, next)?;
            write.conn.prepare_cached(queries::ATTEMPT_PUT)?.execute(params![
                found.id,
                millis(ttl),
                wish.claim_id,
                write.now.as_micros(),
                None::<&str>,
            ])?;
            write.touch(found.session)?;
            log(write, found.id, next, "claimed", "api", Change::default());
            write.effects.push(Effect::Leased(found.id, next.attempt(), ttl));
            Ok(execute_claim(write, found.uuid, next.attempt()))
        }
        state => Ok(passive_claim(state)),
    }
}

fn insert(
    write: &mut Write<'_>,
    call: &ToolCall,
    place: Place,
    key: Option<&ToolCallKey>,
    wish: &Wish,
) -> Result<(Uuid, i64), Fail> {
    let id = new_id();
    let now = write.now.as_micros();
    let state = match wish.lease {
        Some(_) => State::Running { attempt: 1, prior: Knowledge::NotExecuted },
        None => State::Pending,
    };
    write.conn.prepare_cached(queries::EXECUTION_INSERT)?.execute(params![
        id.as_bytes(),
        place.user,
        place.session,
        place.goal,
        Origin::Api.number(),
        EffectClass::Once.number(),
        state.status().number(),
        state.attempt(),
        wish.lease.map(millis),
        wish.claim_id,
        call.tool_name,
        call.tool_input.as_str(),
        key.map(|key| key.text.as_str()),
        key.map(|key| key.fingerprint.short()),
        None::<&[u8]>,
        None::<&[u8]>,
        None::<&[u8]>,
        None::<&str>,
        wish.lease.map(|_| now),
        now,
    ])?;
    let row = write.conn.last_insert_rowid();
    if let Some(key) = key {
        write.conn.prepare_cached(queries::KEY_PUT)?.execute(params![
            key.holder.as_bytes(),
            row,
            None::<i64>
        ])?;
    }
    write.touch(place.session)?;
    let change = Change {
        input: Some(Digest::of(call.tool_input.as_str().as_bytes()).hex(32)),
        ..Change::default()
    };
    log(write, row, state, if wish.lease.is_some() { "claimed" } else { "created" }, "api", change);
    if let Some(ttl) = wish.lease {
        write.effects.push(Effect::Leased(row, 1, ttl));
    }
    Ok((id, row))
}

fn millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)
}

fn log(
    write: &mut Write<'_>,
    row: i64,
    state: State,
    kind: &'static str,
    actor: &str,
    change: Change<'_>,
) {
    let change = Change {
        status: Some(state.status().as_str()),
        outcome: state.outcome().map(Knowledge::as_str),
        ..change
    };
    write.event(NewEvent::execution(kind, row, state.attempt(), actor, &change));
}

/// Tells those who wait that an execution is no longer running.
fn tell(write: &mut Write<'_>, execution: &Brief, state: State) {
    let settled = Settled {
        execution_id: execution.uuid,
        attempt: state.attempt(),
        outcome: state.outcome().unwrap_or(Knowledge::Unknown),
        answer: None,
        error: None,
        problem: None,
        doubt: None,
    };
    write.effects.push(Effect::Settled(execution.id, Arc::new(settled)));
}

/// Records what the holder of a lease tells. The inner error is told after the commit, since its
/// event must be kept.
pub(super) fn finish(
    write: &mut Write<'_>,
    id: Uuid,
    attempt: u32,
    finish: &ApiFinish,
) -> Result<Result<(), Error>, Fail> {
    let execution = brief_of(write, id)?;
    let current = execution.state.attempt();
    if attempt != current {
        if finish.outcome == Knowledge::Executed {
            late(write, &execution, attempt, "possible-duplicate", finish.outcome);
        }
        return Ok(Err(Error::Stale(format!(
            "attempt {attempt} is over: attempt {current} is the current one; this outcome is kept in the log"
        ))));
    }
    if let Some(told) = execution.told {
        if told == finish.outcome {
            return Ok(Ok(()));
        }
        late(write, &execution, attempt, "contradiction", finish.outcome);
        return Ok(Err(Error::Stale(format!(
            "attempt {attempt} was finished before as {told}; this outcome is kept in the log"
        ))));
    }
    let tool_error = finish.error.is_some();
    let event = Event::Finish { attempt, outcome: finish.outcome, tool_error };
    let next = state::next(execution.state, event, execution.class)?;
    let overturned = was_decided(execution.state) && next != execution.state;
    let output = finish.output.as_ref().map(Json::as_str);
    let told = Told {
        outcome: finish.outcome,
        output,
        error: finish.error.as_deref(),
        last_event: finish.outcome.as_str(),
        sent_at: None,
    };
    write.put_finish(&execution, next, &told)?;
    let kind = match execution.state {
        State::Running { .. } => "finished",
        _ if overturned => "verdict-overturned",
        _ => "finished-late",
    };
    let change = Change { output: output_digest(output), ..Change::default() };
    log(write, execution.id, next, kind, "api", change);
    write.effects.push(Effect::Unleased(execution.id));
    tell(write, &execution, next);
    Ok(Ok(()))
}

const fn was_decided(state: State) -> bool {
    matches!(state, State::Completed { decided: true, .. } | State::Failed { decided: true, .. })
}

fn output_digest(output: Option<&str>) -> Option<String> {
    output.map(|text| Digest::of(text.as_bytes()).hex(32))
}

fn late(
    write: &mut Write<'_>,
    execution: &Brief,
    attempt: u32,
    kind: &'static str,
    outcome: Knowledge,
) {
    let change = Change { outcome: Some(outcome.as_str()), ..Change::default() };
    write.event(NewEvent::execution(kind, execution.id, attempt, "api", &change));
}

/// Prolongs a lease, or revives the execution of one that ran out.
pub(super) fn extend(
    write: &mut Write<'_>,
    id: Uuid,
    attempt: u32,
    ttl: Duration,
) -> Result<(), Fail> {
    let execution = brief_of(write, id)?;
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
        write.put_state(&execution, next)?;
        log(write, execution.id, next, "revived", "api", Change::default());
    }
    if execution.lease_ms != Some(millis(ttl)) {
        write
            .conn
            .prepare_cached(queries::LEASE_PUT)?
            .execute(params![execution.id, millis(ttl)])?;
    }
    write.effects.push(Effect::Leased(execution.id, attempt, ttl));
    Ok(())
}

/// A lease ran out: the outcome of its attempt is unknown from now on.
pub(super) fn expire(write: &mut Write<'_>, row: i64, attempt: u32) -> Result<(), Fail> {
    let execution =
        write.conn.prepare_cached(queries::BRIEF_BY_ID)?.query_row([row], super::rows::brief)?;
    if !matches!(execution.state, State::Running { attempt: at, .. } if at == attempt) {
        return Ok(());
    }
    lose(write, &execution, "lease expired")
}

/// Nobody will tell the outcome of the running attempt.
pub(super) fn lose(write: &mut Write<'_>, execution: &Brief, why: &str) -> Result<(), Fail> {
    let next = state::next(execution.state, Event::Lost, execution.class)?;
    write.put_state(execution, next)?;
    write.conn.prepare_cached(queries::LAST_EVENT_PUT)?.execute(params![execution.id, why])?;
    let change = Change { why: Some(why), ..Change::default() };
    log(write, execution.id, next, "lost", "engine", change);
    tell(write, execution, next);
    Ok(())
}

/// Records a decision about an execution in doubt.
pub(super) fn resolve(write: &mut Write<'_>, verdict: &Verdict) -> Result<(), Fail> {
    let execution = brief_of(write, verdict.id)?;
    let event = Event::Verdict { attempt: verdict.attempt, executed: verdict.executed };
    let next = state::next(execution.state, event, execution.class).map_err(|_| {
        Error::Stale(format!(
            "the execution is {} at attempt {}, not in doubt at attempt {}",
            execution.state.status(),
            execution.state.attempt(),
            verdict.attempt
        ))
    })?;
    write.put_state(&execution, next)?;
    let output = verdict.output.as_ref().map(Json::as_str);
    write.conn.prepare_cached(queries::OUTPUT_PUT)?.execute(params![
        execution.id,
        output,
        (!verdict.executed).then_some("it did not run, by decision"),
    ])?;
    let change =
        Change { why: Some(&verdict.evidence), output: output_digest(output), ..Change::default() };
    log(write, execution.id, next, "verdict", &verdict.actor, change);
    write.effects.push(Effect::Unleased(execution.id));
    tell(write, &execution, next);
    Ok(())
}

/// v0.1's update of an execution that was never leased.
pub(super) fn update(
    write: &mut Write<'_>,
    update: &ExecutionUpdate,
    if_updated_at: Option<Timestamp>,
) -> Result<(), Fail> {
    let brief = brief_of(write, update.id)?;
    if brief.state.attempt() > 0 {
        return Err(Error::LeaseLost(
            "the execution was claimed under a lease: only finish_tool_execution, extend_lease and \
             resolve_tool_execution change it"
                .to_owned(),
        )
        .into());
    }
    let (row, now) = write
        .conn
        .prepare_cached(queries::EXECUTION_BY_UUID)?
        .query_row([update.id.as_bytes()], super::rows::execution)?;
    super::entities::check_fresh(now.updated_at, if_updated_at)?;
    let status = update.status.unwrap_or(now.status);
    let next = state::next(brief.state, Event::Set(status), brief.class)?;
    let output = update.output.clone().unwrap_or(now.output);
    let error = update.error.clone().unwrap_or(now.error);
    let at = write.now;
    let begun = status == ExecutionStatus::Running;
    let started = update.started_at.unwrap_or(now.started_at).or(begun.then_some(at));
    let ended = next.is_terminal();
    let completed = update.completed_at.unwrap_or(now.completed_at).or(ended.then_some(at));
    let ended_at = ended.then(|| brief.ended_at.unwrap_or(at));
    write.conn.prepare_cached(queries::UNLEASED_PUT)?.execute(params![
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
    write.count_change(brief.state, next);
    let change =
        Change { output: output_digest(output.as_ref().map(Json::as_str)), ..Change::default() };
    log(write, row, next, "updated", "api", change);
    if ended {
        tell(write, &brief, next);
    }
    Ok(())
}
