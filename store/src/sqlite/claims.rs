//! Proxied calls: reads what the steps of [`crate::decide`] need, and writes their plans.

use std::sync::Arc;

use rusqlite::Connection;
use store_core::Error;
use store_core::call::{Call, Finish, Foreseen, Settled};
use store_core::model::Timestamp;
use uuid::Uuid;

use crate::clock::jumps::Jumps;
use crate::decide::claim::{self, ClaimAnswer, ClaimCase};
use crate::decide::plan::Effect;
use crate::decide::{doubt, finish, guard};
use crate::sqlite::error::Fail;
use crate::sqlite::transaction::{AfterCommit, Transaction};
use crate::sqlite::{answers, facts, queries, rows};

/// Claims a call. Refused if its session has ended since its scope was read.
pub(crate) fn claim(tx: &mut Transaction<'_>, call: &Call) -> Result<ClaimAnswer, Fail> {
    let (open, earlier) = facts::surroundings(tx.conn, call.scope.session)?;
    if !open {
        return Err(Error::SessionEnded(call.scope.session_id).into());
    }
    let context = &tx.context;
    let since = context.undelivered_since();
    let case = case_of(tx.conn, call, &earlier, (context.now, context.jumps), since)?;
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
    jumps: &Jumps,
) -> rusqlite::Result<Foreseen> {
    let (_, earlier) = facts::surroundings(conn, call.scope.session)?;
    // Housekeeping drops what is forgotten, within a minute.
    let since = Timestamp::from_micros(i64::MIN);
    Ok(claim::foresee(case_of(conn, call, &earlier, (now, jumps), since)?, call, now))
}

fn case_of(
    conn: &Connection,
    call: &Call,
    earlier: &[(i64, Uuid)],
    (now, jumps): (Timestamp, &Jumps),
    undelivered_since: Timestamp,
) -> rusqlite::Result<ClaimCase> {
    let holder = match &call.key {
        Some(key) => facts::holder(conn, &key.holder)?,
        None => None,
    };
    let case = claim::by_holder(holder, call, now, jumps);
    if case.needs_doubt_guard(call) {
        Ok(case.guarded(facts::guarding(conn, call, earlier)?, call, undelivered_since))
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

/// Records that the answer of a call arrived.
pub(crate) fn arrived(tx: &mut Transaction<'_>, id: Uuid) -> Result<(), Fail> {
    tx.conn.prepare_cached(queries::GUARD_ARRIVED)?.execute([id.as_bytes()])?;
    Ok(())
}

/// Records that the answer of a call is given again.
pub(crate) fn given(tx: &mut Transaction<'_>, id: Uuid) -> Result<(), Fail> {
    tx.conn.prepare_cached(queries::GUARD_GIVEN_AGAIN)?.execute([id.as_bytes()])?;
    Ok(())
}

/// Records that the answer of a call did not arrive, or that its client left while it runs.
pub(crate) fn undelivered(tx: &mut Transaction<'_>, id: Uuid) -> Result<(), Fail> {
    let execution = facts::brief(tx.conn, id)?;
    if let Some(plan) = guard::undelivered(&execution) {
        tx.apply(plan)?;
    }
    Ok(())
}

/// At the start: whether the last answers of the process before arrived, nobody will ever know. They count as
/// not delivered, as those that did not arrive.
pub(crate) fn left_undelivered(tx: &mut Transaction<'_>) -> rusqlite::Result<Vec<AfterCommit>> {
    tx.conn.prepare_cached(queries::GUARD_AT_START)?.execute([])?;
    tx.conn
        .prepare_cached(queries::UNDELIVERED)?
        .query_map([], |row| {
            Ok(AfterCommit::Execution(row.get(0)?, Effect::Given(rows::uuid(row, 1)?)))
        })?
        .collect()
}

/// Lets go of ended sessions whose calls are all settled.
pub(crate) fn settle_sessions(tx: &mut Transaction<'_>) -> Result<(), Fail> {
    tx.conn.prepare_cached(queries::SESSIONS_SETTLE)?.execute([])?;
    Ok(())
}

/// Ends the memory of answers that did not arrive long ago.
pub(crate) fn forget_undelivered(tx: &mut Transaction<'_>) -> Result<(), Fail> {
    let since = tx.context.undelivered_since();
    tx.conn.prepare_cached(queries::GUARD_EXPIRE)?.execute([since.as_micros()])?;
    Ok(())
}
