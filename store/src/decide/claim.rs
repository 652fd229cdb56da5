//! May a proxied call run, and how did it end: decided inside the writer's transaction.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use store_core::Error;
use store_core::call::{Call, Doubt, Finish, Foreseen, Settled};
use store_core::key::{Digest, HolderKey};
use store_core::model::{EffectClass, ExecutionStatus, Origin, Timestamp};
use store_core::state::{self, Event, Knowledge, State};
use uuid::Uuid;

use crate::decide::doubt;
use crate::decide::event::{Change, text_digest};
use crate::decide::made::{Asked, First, MADE, Made};
use crate::sqlite::error::Fail;
use crate::sqlite::rows::{self, Brief};
use crate::sqlite::transaction::{Effect, Told, Transaction};
use crate::sqlite::{answers, queries};

/// The execution that holds a key, free or not.
pub(crate) fn holder(
    conn: &rusqlite::Connection,
    key: &[u8; 24],
) -> rusqlite::Result<Option<Brief>> {
    conn.prepare_cached(queries::BRIEF_BY_KEY)?.query_row([key], rows::brief).optional()
}

/// The execution of a public id.
pub(crate) fn brief_of(tx: &Transaction<'_>, id: Uuid) -> Result<Brief, Fail> {
    tx.conn
        .prepare_cached(queries::BRIEF_BY_UUID)?
        .query_row([id.as_bytes()], rows::brief)
        .optional()?
        .ok_or_else(|| Error::NotFound { what: "execution", id: id.to_string() }.into())
}

/// The answer to a claim, as far as the records say it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It may run.
    Execute(Granted),
    /// It took effect before.
    Replay(Arc<Settled>),
    /// It runs now.
    Busy(Running),
    /// It may have taken effect before.
    InDoubt(Doubt),
    /// The explicit key belongs to another input.
    Mismatch {
        /// Who holds the key.
        execution_id: Uuid,
    },
}

/// An attempt that may run.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) execution_id: Uuid,
    pub(crate) attempt: u32,
    pub(crate) key_text: Option<String>,
}

/// An attempt that runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    pub(crate) execution_id: Uuid,
    pub(crate) row: i64,
    pub(crate) attempt: u32,
}

impl Running {
    pub(crate) fn of(execution: &Brief) -> Self {
        Self { execution_id: execution.uuid, row: execution.id, attempt: execution.state.attempt() }
    }
}

/// What stands in the way of a call, before anything is written.
pub(crate) enum Judged {
    /// Nothing: it would be a new execution.
    New,
    /// The execution would run once more.
    Again(Brief),
    Busy(Brief),
    Replay(Brief),
    /// In doubt; found by its content alone where the flag is set.
    Doubtful(Brief, bool),
    Mismatch(Brief),
}

/// Looks at what a proxied call would meet (docs/SEMANTICS.md, "What a duplicate gets"). Without
/// `expiry` no key becomes free by time.
pub(crate) fn judge(
    conn: &rusqlite::Connection,
    call: &Call,
    now: Timestamp,
    expiry: bool,
) -> rusqlite::Result<Judged> {
    let holder = match &call.key {
        Some(key) => holder(conn, key.holder.as_bytes())?.filter(|h| !expiry || !h.is_free(now)),
        None => None,
    };
    let judged = holder.map_or(Judged::New, |holder| by_holder(holder, call));
    // The doubt guard looks at whatever would run.
    if matches!(judged, Judged::New | Judged::Again(_))
        && let Some(hit) = doubt::same_in_doubt(conn, call)?
    {
        return Ok(Judged::Doubtful(hit, true));
    }
    Ok(judged)
}

/// What the holder of its key says of a call.
fn by_holder(holder: Brief, call: &Call) -> Judged {
    if holder.fingerprint != Some(call.fingerprint.short()) {
        let same_content = holder.content == Some(call.content.short());
        return match holder.state {
            // By other rules it was the same call.
            State::InDoubt { .. } if same_content => Judged::Doubtful(holder, true),
            // Nothing ran that the key could protect.
            State::Failed { known: Knowledge::NotExecuted, .. } | State::Cancelled => Judged::New,
            _ => Judged::Mismatch(holder),
        };
    }
    match holder.state {
        State::Running { .. } | State::Pending | State::Working => Judged::Busy(holder),
        State::Completed { .. } => Judged::Replay(holder),
        // The tool ran and called it an error: asking again is a new call.
        State::Failed { known: Knowledge::Executed, .. } | State::Cancelled => Judged::New,
        // It was idempotent, and by the rules of today it is not.
        State::Failed { known: Knowledge::Unknown, .. }
            if call.class != EffectClass::Idempotent =>
        {
            Judged::Doubtful(holder, false)
        }
        State::Failed { .. } => Judged::Again(holder),
        State::InDoubt { .. } => Judged::Doubtful(holder, false),
    }
}

/// Decides a proxied call.
pub(crate) fn claim(tx: &mut Transaction<'_>, call: &Call) -> Result<Answer, Fail> {
    match judge(tx.conn, call, tx.now, tx.expiry)? {
        Judged::New => insert(tx, call),
        Judged::Again(holder) => again(tx, &holder, call, "claimed"),
        Judged::Busy(holder) => Ok(Answer::Busy(Running::of(&holder))),
        Judged::Replay(holder) => Ok(Answer::Replay(Arc::new(settled(tx, &holder)?))),
        Judged::Doubtful(hit, same_content) => doubt::doubtful(tx, hit, call, same_content),
        Judged::Mismatch(holder) => Ok(Answer::Mismatch { execution_id: holder.uuid }),
    }
}

/// What a claim would answer, without making it: nothing is written, and no token is redeemed.
pub(crate) fn foresee(
    conn: &rusqlite::Connection,
    call: &Call,
    now: Timestamp,
) -> rusqlite::Result<Foreseen> {
    Ok(match judge(conn, call, now, true)? {
        Judged::New => Foreseen::Execute,
        Judged::Again(holder) => Foreseen::ExecuteAgain(holder.uuid),
        Judged::Busy(holder) => Foreseen::Wait(holder.uuid),
        Judged::Replay(holder) => Foreseen::Replay(holder.uuid),
        Judged::Mismatch(holder) => Foreseen::Mismatch(holder.uuid),
        Judged::Doubtful(hit, same_content) => {
            let released = matches!(hit.state, State::InDoubt { released: true, .. })
                && hit.principal == Some(call.principal.short());
            if released || !same_content && doubt::upstream_still_knows(now, &hit, call) {
                Foreseen::ExecuteAgain(hit.uuid)
            } else {
                Foreseen::InDoubt { execution_id: hit.uuid, same_content }
            }
        }
    })
}

/// A new execution takes the key.
fn insert(tx: &mut Transaction<'_>, call: &Call) -> Result<Answer, Fail> {
    let made = Made {
        id: Uuid::now_v7(),
        user: call.scope.user,
        session: call.scope.session,
        goal: call.scope.goal,
        origin: Origin::Proxy,
        tool: &call.tool_name,
        input: call.input.as_str(),
        key: call.key.as_ref().map(|key| key.text.as_str()),
        principal: Some(call.principal.short()),
        repeat: call.repeat.as_ref().map(Digest::short),
        created_at: tx.now,
    };
    let first = First {
        status: ExecutionStatus::Running,
        attempt: 1,
        lease_ms: None,
        claim_id: None,
        asked: &Asked::of(call),
    };
    let row = made.insert(tx, &first)?;
    if let Some(key) = &call.key {
        put_key(tx, &key.holder, key.window, row)?;
    }
    tx.touch(call.scope.session)?;
    let change = Change { made: Some(made.digest().hex(MADE)), ..Change::default() };
    let state = State::Running { attempt: 1, prior: Knowledge::NotExecuted };
    log_claim(tx, row, state, call, change);
    tx.effects.push(Effect::InFlight(1));
    Ok(Answer::Execute(Granted {
        execution_id: made.id,
        attempt: 1,
        key_text: made.key.map(str::to_owned),
    }))
}

/// One more attempt of an execution; the caller's key then names it too.
pub(crate) fn again(
    tx: &mut Transaction<'_>,
    execution: &Brief,
    call: &Call,
    why: &'static str,
) -> Result<Answer, Fail> {
    let next = state::next(execution.state, Event::Claim, execution.class)?;
    tx.put_state(execution, next)?;
    // Whatever it was asked with before: how this attempt ends, and what is a repeat of it, is told by the
    // rules that it goes out by.
    let asked = Asked::of(call);
    tx.conn.prepare_cached(queries::ATTEMPT_PUT)?.execute(params![
        execution.id,
        None::<i64>,
        None::<&[u8]>,
        tx.now.as_micros(),
        asked.rule,
        matches!(execution.state, State::InDoubt { .. }),
        asked.fingerprint,
        asked.upstream_key,
        asked.class.number(),
        asked.content,
        asked.literal,
    ])?;
    tx.conn.prepare_cached(queries::ANSWER_DELETE)?.execute([execution.id])?;
    if let Some(key) = &call.key {
        put_key(tx, &key.holder, key.window, execution.id)?;
    }
    tx.touch(call.scope.session)?;
    let change = Change { why: Some(why), ..Change::default() };
    log_claim(tx, execution.id, next, call, change);
    tx.effects.push(Effect::InFlight(1));
    let text = call.key.as_ref().map(|key| key.text.clone());
    Ok(Answer::Execute(Granted {
        execution_id: execution.uuid,
        attempt: next.attempt(),
        key_text: text,
    }))
}

/// Lets an execution hold a key, for so long after it became terminal; `None`: for ever.
pub(crate) fn put_key(
    tx: &Transaction<'_>,
    holder: &HolderKey,
    window: Option<Duration>,
    execution: i64,
) -> rusqlite::Result<()> {
    let mut statement = tx.conn.prepare_cached(queries::KEY_PUT)?;
    statement.execute(params![holder.as_bytes(), execution, window.map(micros)])?;
    Ok(())
}

fn micros(window: Duration) -> i64 {
    i64::try_from(window.as_micros()).unwrap_or(i64::MAX)
}

fn log_claim(tx: &mut Transaction<'_>, row: i64, state: State, call: &Call, change: Change<'_>) {
    let key = call.key.as_ref().map(|key| (&key.holder, key.window.map(micros)));
    let change = Change { rule: Some(&call.rule), run: call.run.as_deref(), ..change };
    tx.log(row, state, "claimed", "proxy", change.asked(&Asked::of(call).digest(), key));
}

/// Records the outcome of an attempt of a proxied call.
pub(crate) fn finish(
    tx: &mut Transaction<'_>,
    id: Uuid,
    attempt: u32,
    finish: &Finish,
) -> Result<Arc<Settled>, Fail> {
    let execution = brief_of(tx, id)?;
    if execution.state.attempt() != attempt || execution.told.is_some() {
        return Err(Error::Stale(format!("attempt {attempt} of {id} is over")).into());
    }
    let event = Event::Finish { attempt, outcome: finish.outcome, tool_error: finish.tool_error };
    let next = state::next(execution.state, event, execution.class)?;
    let told = Told {
        outcome: finish.outcome,
        output: None,
        error: finish.error.as_deref(),
        last_event: &finish.last_event,
        sent_at: finish.sent_at,
    };
    tx.put_finish(&execution, next, &told)?;
    let put = |answer| answers::put(tx.conn, execution.id, answer);
    let stored = finish.answer.as_ref().map(put).transpose()?;
    let kind =
        if matches!(execution.state, State::Running { .. }) { "finished" } else { "finished-late" };
    let change = Change {
        outcome: Some(finish.outcome.as_str()),
        error: text_digest(finish.error.as_deref()),
        body: stored.map(|stored| stored.body.hex(32)),
        answer: stored.map(|stored| stored.rest.hex(16)),
        not_kept: stored.is_some_and(|stored| !stored.kept),
        answer_status: finish.answer.as_ref().map(|answer| answer.status),
        why: Some(&finish.last_event),
        sent_at: finish.sent_at,
        first_byte_at: finish.first_byte_at,
        ..Change::default()
    };
    tx.log(execution.id, next, kind, "proxy", change);
    let settled = Arc::new(Settled {
        execution_id: id,
        attempt,
        outcome: next.outcome().unwrap_or(Knowledge::Unknown),
        answer: finish.answer.clone().map(Arc::new),
        error: finish.error.clone(),
        problem: finish.problem.clone(),
        doubt: matches!(next, State::InDoubt { .. }).then(|| Doubt {
            sent_at: finish.sent_at.or(execution.started_at).unwrap_or(tx.now),
            last_event: finish.last_event.clone(),
            ..doubt::doubt_of(tx, &execution, attempt)
        }),
    });
    tx.effects.push(Effect::InFlight(-1));
    tx.effects.push(Effect::Settled(execution.id, Arc::clone(&settled)));
    Ok(settled)
}

/// How a terminal execution ended, from its rows.
fn settled(tx: &Transaction<'_>, execution: &Brief) -> Result<Settled, Fail> {
    Ok(answers::settled(execution, answers::get(tx.conn, execution.id)?))
}
