//! Proxied calls: what [`crate::decide`] asks for is read, and what it says is written.

use std::sync::Arc;

use rusqlite::Connection;
use store_core::call::{Call, Finish, Foreseen, Settled};
use store_core::model::Timestamp;
use uuid::Uuid;

use crate::decide::claim::{self, ClaimAnswer, Met};
use crate::decide::{doubt, finish};
use crate::sqlite::error::Fail;
use crate::sqlite::transaction::Transaction;
use crate::sqlite::{answers, facts};

/// Claims a call.
pub(crate) fn claim(tx: &mut Transaction<'_>, call: &Call) -> Result<ClaimAnswer, Fail> {
    let met = met(tx.conn, call, tx.context.key_expiry())?;
    let stored = match met.needs_answer() {
        Some(row) => answers::get(tx.conn, row)?,
        None => None,
    };
    let decision = claim::decide(met, stored, call, &tx.context)?;
    Ok(tx.carry_out(decision)?)
}

/// What a claim would get at `now`, without making it.
pub(crate) fn foresee(
    conn: &Connection,
    call: &Call,
    now: Timestamp,
) -> rusqlite::Result<Foreseen> {
    Ok(claim::foresee(met(conn, call, Some(now))?, call, now))
}

fn met(conn: &Connection, call: &Call, expiry: Option<Timestamp>) -> rusqlite::Result<Met> {
    let holder = match &call.key {
        Some(key) => facts::holder(conn, &key.holder)?,
        None => None,
    };
    let met = claim::by_holder(holder, call, expiry);
    if met.needs_doubt_guard(call) {
        Ok(met.guarded(facts::in_doubt(conn, call)?, call))
    } else {
        Ok(met)
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

/// Redeems a retry token; a repeat of it changes nothing.
pub(crate) fn redeem(tx: &mut Transaction<'_>, token: &str) -> Result<Uuid, Fail> {
    let (id, attempt) = doubt::named_by(token, &tx.context)?;
    let execution = facts::brief(tx.conn, id)?;
    let decision = doubt::redeem(&execution, attempt)?;
    Ok(tx.carry_out(decision)?)
}
