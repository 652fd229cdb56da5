//! Executions that come by the API, made and claimed: v0.1's unleased ones, and those under a lease.

use std::time::Duration;

use rusqlite::params;
use store_core::Error;
use store_core::call::{ApiClaim, ToolCallKey};
use store_core::model::{EffectClass, Origin, Timestamp, ToolCall};
use store_core::state::{self, Event, Knowledge, State};
use uuid::Uuid;

use crate::audit::events::Change;
use crate::call::Waiter;
use crate::decide::claim::{holder, put_key};
use crate::decide::made::{Asked, First, MADE, Made};
use crate::engine::write::{Effect, Write};
use crate::sqlite::error::Fail;
use crate::sqlite::ids::Place;
use crate::sqlite::queries;
use crate::sqlite::rows::Brief;

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
    pub(crate) waiter: Option<Waiter>,
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
    write: &mut Write<'_>,
    call: &ToolCall,
    place: Place,
) -> Result<(Uuid, i64), Fail> {
    let wish = Wish { lease: None, claim_id: None, wait: false, refuse_mismatch: false };
    insert(write, call, place, None, &wish)
}

/// Finds or makes the execution that holds a key, and decides who may run it.
pub(crate) fn execute(
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
                matches!(found.state, State::InDoubt { .. }),
                None::<&[u8]>,
                None::<&str>,
                found.class.number(),
                None::<&[u8]>,
                None::<&[u8]>,
            ])?;
            write.touch(found.session)?;
            write.log(found.id, next, "claimed", "api", Change::default());
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
        created_at: write.now,
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
    let row = made.insert(write, &first)?;
    if let Some(key) = key {
        put_key(write, &key.holder, None, row)?;
    }
    write.touch(place.session)?;
    let change = Change { made: Some(made.digest().hex(MADE)), ..Change::default() }
        .asked(&asked.digest(), key.map(|key| (&key.holder, None)));
    let kind = if wish.lease.is_some() { "claimed" } else { "created" };
    write.log(row, state, kind, "api", change);
    if let Some(ttl) = wish.lease {
        write.effects.push(Effect::Leased(row, 1, ttl));
    }
    Ok((made.id, row))
}

pub(crate) fn millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)
}
