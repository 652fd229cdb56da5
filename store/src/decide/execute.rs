//! Executions that come by the API, made and claimed: v0.1's unleased ones, and those under a lease.

use std::time::Duration;

use rusqlite::params;
use store_core::Error;
use store_core::call::{ApiClaim, ToolCallKey};
use store_core::model::{EffectClass, Origin, Timestamp, ToolCall};
use store_core::state::{self, Event, Knowledge, State};
use uuid::Uuid;

use crate::decide::claim::{Running, holder, put_key};
use crate::decide::event::Change;
use crate::decide::made::{Asked, First, MADE, Made};
use crate::sqlite::error::Fail;
use crate::sqlite::ids::Place;
use crate::sqlite::queries;
use crate::sqlite::rows::Brief;
use crate::sqlite::transaction::{Effect, Transaction};

/// The answer of the writer to `execute_tool_idempotent`.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) id: Uuid,
    pub(crate) row: i64,
    pub(crate) at: Timestamp,
    pub(crate) duplicate: bool,
    pub(crate) mismatch: bool,
    pub(crate) claim: Option<ApiClaim>,
    /// To wait for a busy one; only where the caller wants to.
    pub(crate) wait_for: Option<Running>,
}

/// What a caller wants beyond the record.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) lease: Option<Duration>,
    pub(crate) claim_id: Option<[u8; 16]>,
    pub(crate) wait: bool,
    pub(crate) refuse_mismatch: bool,
}

/// Records a call without a key.
pub(crate) fn create(
    tx: &mut Transaction<'_>,
    call: &ToolCall,
    place: Place,
) -> Result<(Uuid, i64), Fail> {
    let wish = Wish { lease: None, claim_id: None, wait: false, refuse_mismatch: false };
    insert(tx, call, place, None, &wish)
}

/// Finds or makes the execution that holds a key, and decides who may run it.
pub(crate) fn execute(
    tx: &mut Transaction<'_>,
    call: &ToolCall,
    place: Place,
    key: &ToolCallKey,
    wish: &Wish,
) -> Result<Decided, Fail> {
    let Some(found) = holder(tx.conn, key.holder.as_bytes())? else {
        let (id, row) = insert(tx, call, place, Some(key), wish)?;
        let claim = wish.lease.map(|_| execute_claim(tx, id, 1));
        return Ok(Decided {
            id,
            row,
            at: tx.now,
            duplicate: false,
            mismatch: false,
            claim,
            wait_for: None,
        });
    };
    let mismatch = found.fingerprint != Some(key.fingerprint.short());
    if mismatch && wish.refuse_mismatch {
        return Err(Error::KeyReuse { execution: found.uuid }.into());
    }
    let claim = match wish.lease {
        None => None,
        Some(_) if mismatch => Some(passive_claim(found.state)),
        Some(ttl) => Some(claim(tx, &found, ttl, wish)?),
    };
    let busy = matches!(claim, Some(ApiClaim::Busy { .. }))
        || (claim.is_none() && !found.state.is_terminal());
    let wait_for = (busy && wish.wait).then(|| Running::of(&found));
    Ok(Decided {
        id: found.uuid,
        row: found.id,
        at: tx.now,
        duplicate: true,
        mismatch,
        claim,
        wait_for,
    })
}

fn execute_claim(tx: &Transaction<'_>, id: Uuid, attempt: u32) -> ApiClaim {
    ApiClaim::Execute { lease: tx.secret.lease_token(id, attempt) }
}

/// Who may run an execution, where the asker may not.
pub(crate) fn passive_claim(state: State) -> ApiClaim {
    match state {
        State::Pending | State::Working => ApiClaim::Busy { leased: false },
        State::Running { .. } => ApiClaim::Busy { leased: true },
        State::InDoubt { .. } => ApiClaim::InDoubt,
        State::Completed { .. } | State::Failed { .. } | State::Cancelled => ApiClaim::Replay,
    }
}

/// Claims an existing execution for the asker, where its state allows it.
fn claim(
    tx: &mut Transaction<'_>,
    found: &Brief,
    ttl: Duration,
    wish: &Wish,
) -> Result<ApiClaim, Fail> {
    match found.state {
        // The holder asks again: its first answer was lost.
        State::Running { attempt, .. }
            if wish.claim_id.is_some() && wish.claim_id == found.claim_id =>
        {
            tx.effects.push(Effect::Leased(found.id, attempt, ttl));
            Ok(execute_claim(tx, found.uuid, attempt))
        }
        State::Failed { attempt: 1.., known: Knowledge::NotExecuted, .. }
        | State::InDoubt { released: true, .. } => {
            let next = state::next(found.state, Event::Claim, found.class)?;
            tx.put_state(found, next)?;
            tx.conn.prepare_cached(queries::ATTEMPT_PUT)?.execute(params![
                found.id,
                millis(ttl),
                wish.claim_id,
                tx.now.as_micros(),
                None::<&str>,
                matches!(found.state, State::InDoubt { .. }),
                None::<&[u8]>,
                None::<&str>,
                found.class.number(),
                None::<&[u8]>,
                None::<&[u8]>,
            ])?;
            tx.touch(found.session)?;
            tx.log(found.id, next, "claimed", "api", Change::default());
            tx.effects.push(Effect::Leased(found.id, next.attempt(), ttl));
            Ok(execute_claim(tx, found.uuid, next.attempt()))
        }
        state => Ok(passive_claim(state)),
    }
}

fn insert(
    tx: &mut Transaction<'_>,
    call: &ToolCall,
    place: Place,
    key: Option<&ToolCallKey>,
    wish: &Wish,
) -> Result<(Uuid, i64), Fail> {
    let state = match wish.lease {
        Some(_) => State::Running { attempt: 1, prior: Knowledge::NotExecuted },
        None => State::Pending,
    };
    let made = Made {
        id: Uuid::now_v7(),
        user: place.user,
        session: place.session,
        goal: place.goal,
        origin: Origin::Api,
        tool: &call.tool_name,
        input: call.tool_input.as_str(),
        key: key.map(|key| key.text.as_str()),
        principal: None,
        repeat: None,
        created_at: tx.now,
    };
    let asked = Asked {
        class: EffectClass::Once,
        fingerprint: key.map(|key| key.fingerprint.short()),
        content: None,
        literal: None,
        rule: None,
        upstream_key: None,
    };
    let first = First {
        status: state.status(),
        attempt: state.attempt(),
        lease_ms: wish.lease.map(millis),
        claim_id: wish.claim_id,
        asked: &asked,
    };
    let row = made.insert(tx, &first)?;
    if let Some(key) = key {
        put_key(tx, &key.holder, None, row)?;
    }
    tx.touch(place.session)?;
    let change = Change { made: Some(made.digest().hex(MADE)), ..Change::default() }
        .asked(&asked.digest(), key.map(|key| (&key.holder, None)));
    let kind = if wish.lease.is_some() { "claimed" } else { "created" };
    tx.log(row, state, kind, "api", change);
    if let Some(ttl) = wish.lease {
        tx.effects.push(Effect::Leased(row, 1, ttl));
    }
    Ok((made.id, row))
}

pub(crate) fn millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)
}
