//! Executions of the API: reads what the steps of [`crate::decide`] need, and writes their plans.

use std::time::Duration;

use store_core::Error;
use store_core::call::{ApiFinish, Verdict};
use store_core::model::{ExecutionUpdate, Origin, Timestamp, ToolCall};
use uuid::Uuid;

use crate::decide::brief::Place;
use crate::decide::checks::check_fresh;
use crate::decide::execute::{self, ApiAnswer, ApiCall};
use crate::decide::settle::{self, ReportCase};
use crate::decide::start::{self, AtStart, LeftRunning};
use crate::sqlite::error::Fail;
use crate::sqlite::transaction::{AfterCommit, Transaction};
use crate::sqlite::{claims, facts, queries, rows};

/// Records a call without a key; returns its row.
pub(crate) fn create(tx: &mut Transaction<'_>, call: &ToolCall, place: Place) -> Result<i64, Fail> {
    let plan = execute::create(call, place, tx.now());
    Ok(tx.apply(plan)?)
}

/// Finds or creates the execution that holds the call's key, and decides who may run it.
pub(crate) fn execute(tx: &mut Transaction<'_>, request: &ApiCall) -> Result<ApiAnswer, Fail> {
    let holder = facts::holder(tx.conn, &request.key.holder)?;
    let decision = execute::decide(holder, request, &tx.context)?;
    Ok(tx.carry_out(decision)?)
}

/// Records the report of a lease holder. The inner error is returned after the commit, since its event must
/// be written.
pub(crate) fn finish(
    tx: &mut Transaction<'_>,
    id: Uuid,
    attempt: u32,
    finish: &ApiFinish,
) -> Result<Result<(), Error>, Fail> {
    let execution = facts::brief(tx.conn, id)?;
    match settle::report(&execution, attempt, finish)? {
        ReportCase::Known => Ok(Ok(())),
        ReportCase::Late(late) => {
            let is_logged = facts::is_logged(tx.conn, execution.row, &late)?;
            Ok(tx.carry_out(late.decide(&execution, is_logged))?)
        }
        ReportCase::Settles(next) => {
            let stored = if settle::needs_output(&execution, finish) {
                facts::output(tx.conn, execution.row)?
            } else {
                None
            };
            tx.apply(settle::settle(&execution, finish, next, stored.as_deref()))?;
            Ok(Ok(()))
        }
    }
}

/// Extends a lease, or revives an execution whose lease expired.
pub(crate) fn extend(
    tx: &mut Transaction<'_>,
    id: Uuid,
    attempt: u32,
    ttl: Duration,
) -> Result<(), Fail> {
    let execution = facts::brief(tx.conn, id)?;
    tx.apply(settle::extend(&execution, attempt, ttl)?)?;
    Ok(())
}

/// Ends an attempt whose lease expired.
pub(crate) fn expire(tx: &mut Transaction<'_>, row: i64, attempt: u32) -> Result<(), Fail> {
    let execution = facts::brief_of_row(tx.conn, row)?;
    if let Some(plan) = settle::expire(&execution, attempt)? {
        tx.apply(plan)?;
    }
    Ok(())
}

/// Records a verdict about an execution in doubt.
pub(crate) fn resolve(tx: &mut Transaction<'_>, verdict: &Verdict) -> Result<(), Fail> {
    let execution = facts::brief(tx.conn, verdict.id)?;
    tx.apply(settle::resolve(&execution, verdict)?)?;
    Ok(())
}

/// v0.1's update of an execution that was never leased.
pub(crate) fn update(
    tx: &mut Transaction<'_>,
    update: &ExecutionUpdate,
    if_updated_at: Option<Timestamp>,
) -> Result<(), Fail> {
    let execution = facts::brief(tx.conn, update.id)?;
    settle::check_unleased(&execution)?;
    let current = facts::execution(tx.conn, update.id)?;
    check_fresh(current.updated_at, if_updated_at)?;
    tx.apply(settle::update(&execution, current, update, tx.now())?)?;
    Ok(())
}

/// Logs the start, and recovers what an earlier process left running. `missing`: number and hash of an event
/// that was on disk, and that the database does not have.
pub(crate) fn recover(tx: &mut Transaction<'_>, missing: Option<(i64, &str)>) -> Result<(), Fail> {
    for given in claims::left_undelivered(tx)? {
        tx.after(given);
    }
    let running = running(tx)?;
    tx.event(start::boot(&running, missing));
    for left in running {
        match left.at_start() {
            AtStart::Leased(effect) => tx.after(AfterCommit::Execution(left.row, effect)),
            AtStart::Lost => {
                let execution = facts::brief_of_row(tx.conn, left.row)?;
                tx.apply(start::lose(&execution)?)?;
            }
        }
    }
    Ok(())
}

fn running(tx: &Transaction<'_>) -> rusqlite::Result<Vec<LeftRunning>> {
    tx.conn
        .prepare_cached(queries::RUNNING)?
        .query_map([], |row| {
            Ok(LeftRunning {
                row: row.get(0)?,
                origin: rows::word(row, 1, Origin::from_number)?,
                attempt: row.get(2)?,
                lease_ms: row.get(3)?,
            })
        })?
        .collect()
}
