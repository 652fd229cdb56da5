//! Calls that may have taken effect: what holds them back, and what lets them run once more.

use store_core::Error;
use store_core::call::{Call, Doubt};
use store_core::key::Digest;
use store_core::model::{EffectClass, Timestamp};
use store_core::state::{self, Event, State};
use uuid::Uuid;

use crate::decide::claim::{Answer, again, brief_of};
use crate::decide::event::Change;
use crate::sqlite::error::Fail;
use crate::sqlite::queries;
use crate::sqlite::rows::{self, Brief};
use crate::sqlite::transaction::Transaction;

/// An execution in doubt that may have done what a call would do, under whatever key.
pub(crate) fn same_in_doubt(
    conn: &rusqlite::Connection,
    call: &Call,
) -> rusqlite::Result<Option<Brief>> {
    if call.class == EffectClass::Idempotent {
        return Ok(None);
    }
    let hits: Vec<Brief> = conn
        .prepare_cached(queries::BRIEF_IN_DOUBT)?
        .query_map([call.content.short(), call.literal.short()], rows::brief)?
        .collect::<rusqlite::Result<_>>()?;
    let repeat = call.repeat.as_ref().map(Digest::short);
    Ok(hits.into_iter().find(|hit| repeat.is_none() || repeat == hit.repeat))
}

/// An execution in doubt: runs again where a token, a mark or the upstream's own key allows it.
pub(crate) fn doubtful(
    tx: &mut Transaction<'_>,
    execution: Brief,
    call: &Call,
    same_content: bool,
) -> Result<Answer, Fail> {
    let execution = in_doubt(tx, execution)?;
    let State::InDoubt { attempt, released, .. } = execution.state else {
        return Err(Error::Internal.into());
    };
    let same_principal = execution.principal == Some(call.principal.short());
    if same_principal {
        let redeemed =
            call.retry_token.as_deref().and_then(|token| tx.secret.read_retry_token(token, tx.now))
                == Some((execution.uuid, attempt));
        if redeemed && !released {
            release(tx, &execution, attempt)?;
        }
        if redeemed || released {
            let released = Brief {
                state: state::next(execution.state, Event::Release { attempt }, execution.class)?,
                ..execution
            };
            return again(tx, &released, call, "released");
        }
    }
    if !same_content && upstream_still_knows(tx.now, &execution, call) {
        return again(tx, &execution, call, "upstream-key");
    }
    let mut doubt = doubt_of(tx, &execution, attempt);
    doubt.same_content = same_content;
    if same_content && !same_principal {
        doubt.retry_token = None;
    }
    Ok(Answer::InDoubt(doubt))
}

/// The execution in doubt, where it was not before.
fn in_doubt(tx: &mut Transaction<'_>, mut execution: Brief) -> Result<Brief, Fail> {
    if !matches!(execution.state, State::InDoubt { .. }) {
        let next = state::next(execution.state, Event::Doubt, execution.class)?;
        tx.put_state(&execution, next)?;
        let why = Some("by its rule of today it may not be repeated");
        tx.log(execution.id, next, "doubted", "engine", Change { why, ..Change::default() });
        execution.state = next;
    }
    Ok(execution)
}

/// The class `keyed`: the upstream itself tells a repeat from a new call for so long, where it gets the
/// same key in the same place.
pub(crate) fn upstream_still_knows(now: Timestamp, execution: &Brief, call: &Call) -> bool {
    let Some(key) = &call.upstream_key else { return false };
    let sent = execution.first_sent_at.or(execution.started_at);
    execution.class == EffectClass::Keyed
        && execution.upstream_key.as_ref() == Some(&key.told)
        && sent.is_some_and(|sent| now < sent.plus(key.lifetime))
}

/// Marks a doubt as released; the next identical call runs.
fn release(tx: &mut Transaction<'_>, execution: &Brief, attempt: u32) -> Result<(), Fail> {
    let next = state::next(execution.state, Event::Release { attempt }, execution.class)?;
    if next != execution.state {
        tx.put_state(execution, next)?;
        let change = Change { why: Some("retry token redeemed"), ..Change::default() };
        tx.log(execution.id, next, "released", "client", change);
    }
    Ok(())
}

/// Redeems a retry token; a repeat of it changes nothing.
pub(crate) fn redeem(tx: &mut Transaction<'_>, token: &str) -> Result<Uuid, Fail> {
    let (id, attempt) = tx
        .secret
        .read_retry_token(token, tx.now)
        .ok_or_else(|| Error::Stale("the retry token is not valid, or has expired".to_owned()))?;
    let execution = brief_of(tx, id)?;
    match execution.state {
        State::InDoubt { attempt: at, .. } if at == attempt => {
            release(tx, &execution, attempt)?;
            Ok(id)
        }
        _ => {
            Err(Error::Stale("the retry token was used, or the doubt is settled".to_owned()).into())
        }
    }
}

/// What is told of an execution in doubt, with a token for its own principal.
pub(crate) fn doubt_of(tx: &Transaction<'_>, execution: &Brief, attempt: u32) -> Doubt {
    Doubt {
        execution_id: execution.uuid,
        attempt,
        sent_at: execution.sent_at.or(execution.started_at).unwrap_or(tx.now),
        last_event: execution.last_event.clone().unwrap_or_else(|| "claimed".to_owned()),
        same_content: false,
        retry_token: Some(tx.secret.retry_token(execution.uuid, attempt, tx.now)),
    }
}
