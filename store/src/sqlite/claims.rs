//! Proxied calls: reads what the steps of [`crate::decide`] need, and writes their plans.

use std::sync::Arc;

use rusqlite::Connection;
use store_core::call::{Call, Finish, Foreseen, Settled};
use store_core::model::Timestamp;
use uuid::Uuid;

use crate::decide::claim::{self, ClaimAnswer, ClaimCase};
use crate::decide::{doubt, finish};
use crate::sqlite::error::Fail;
use crate::sqlite::transaction::Transaction;
use crate::sqlite::{answers, facts};

/// Claims a call.
pub(crate) fn claim(tx: &mut Transaction<'_>, call: &Call) -> Result<ClaimAnswer, Fail> {
    let case = case_of(tx.conn, call, tx.context.key_expiry())?;
    let stored = match case.needs_answer() {
        Some(row) => answers::get(tx.conn, row)?,
        None => None,
    };
    let decision = claim::decide(case, stored, call, &tx.context)?;
    Ok(tx.carry_out(decision)?)
}

/// The answer that a claim would get at `now`.
pub(crate) fn foresee(
    conn: &Connection,
    call: &Call,
    now: Timestamp,
) -> rusqlite::Result<Foreseen> {
    Ok(claim::foresee(case_of(conn, call, Some(now))?, call, now))
}

fn case_of(
    conn: &Connection,
    call: &Call,
    expiry: Option<Timestamp>,
) -> rusqlite::Result<ClaimCase> {
    let holder = match &call.key {
        Some(key) => facts::holder(conn, &key.holder)?,
        None => None,
    };
    let case = claim::by_holder(holder, call, expiry);
    if case.needs_doubt_guard(call) {
        Ok(case.guarded(facts::in_doubt(conn, call)?, call))
    } else {
        Ok(case)
    }
}

/// Records the outcome of an attempt.
pub(crate) fn finish(
    tx: &mut Transaction<'_>,
    id: Uuid,
    attempt: u32,
    finish: &Finish,
) -> Result<Arc<Settled>, Fail> {
    let execution = facts::brief(tx.conn, id)?;
    let decision = finish::decide(&execution, attempt, finish, &tx.context)?;
    Ok(tx.carry_out(decision)?)
}

/// Records an answer that came after its attempt was finished as of unknown outcome.
pub(crate) fn finish_late(
    tx: &mut Transaction<'_>,
    id: Uuid,
    attempt: u32,
    finish: &Finish,
) -> Result<(), Fail> {
    let execution = facts::brief(tx.conn, id)?;
    let decision = finish::late(&execution, attempt, finish)?;
    Ok(tx.carry_out(decision)?)
}

/// Redeems a retry token. Repeating it changes nothing.
pub(crate) fn redeem(tx: &mut Transaction<'_>, token: &str) -> Result<Uuid, Fail> {
    let (id, attempt) = doubt::named_by(token, &tx.context)?;
    let execution = facts::brief(tx.conn, id)?;
    let decision = doubt::redeem(&execution, attempt)?;
    Ok(tx.carry_out(decision)?)
}
