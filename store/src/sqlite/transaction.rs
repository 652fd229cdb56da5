//! What a job can do inside the writer's transaction, and what follows once it is committed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Statement, params};
use store_core::call::Settled;
use store_core::model::Timestamp;
use store_core::state::{Knowledge, State};

use crate::decide::event::{Change, NewEvent};
use crate::sqlite::queries;
use crate::sqlite::rows::Brief;
use crate::token::Secret;

/// The open transaction, the time of its commit, and what it leaves in the log and in memory.
pub(crate) struct Transaction<'c> {
    pub(crate) conn: &'c Connection,
    pub(crate) now: Timestamp,
    /// Keys expire, and what is old is dropped; not after the wall clock has jumped.
    pub(crate) expiry: bool,
    pub(crate) secret: &'c Secret,
    pub(crate) touched: &'c mut Touched,
    pub(crate) events: Vec<NewEvent>,
    pub(crate) effects: Vec<Effect>,
}

/// What happens in memory after the commit, and only then.
#[derive(Debug)]
pub(crate) enum Effect {
    /// An execution is no longer running: those who wait for it are told.
    Settled(i64, Arc<Settled>),
    /// An API lease runs from now for so long.
    Leased(i64, u32, Duration),
    /// An API lease is over.
    Unleased(i64),
    /// The number of proxied calls under a lease, or of executions in doubt, changes.
    InFlight(i64),
    InDoubt(i64),
    /// A user, session or goal changed: what is remembered of scopes is void.
    ScopesChanged,
    /// A stored outcome was overturned or its body dropped: remembered replays are void.
    ReplaysChanged,
}

/// When each session was last noted to be in use.
#[derive(Debug, Default)]
pub(crate) struct Touched(HashMap<i64, Timestamp>);

/// How many sessions are remembered.
const MAX_TOUCHED: usize = 10_000;

/// A session's last activity is written at most this often, in microseconds.
const TOUCH_INTERVAL: i64 = 1_000_000;

/// What the holder of a lease told of its attempt.
pub(crate) struct Told<'a> {
    pub(crate) outcome: Knowledge,
    pub(crate) output: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
    pub(crate) last_event: &'a str,
    pub(crate) sent_at: Option<Timestamp>,
}

/// Binds the parameters 1 to 10 of a statement that writes a state.
fn bind_state(
    statement: &mut Statement<'_>,
    id: i64,
    state: State,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let (prior, released) = match state {
        State::Running { prior, .. } => (prior, false),
        State::InDoubt { prior, released, .. } => (prior, released),
        _ => (Knowledge::NotExecuted, false),
    };
    let (known, decided) = match state {
        State::Failed { known, decided, .. } => (Some(known.number()), decided),
        State::Completed { decided, .. } => (None, decided),
        _ => (None, false),
    };
    let ended = state.is_terminal().then_some(now.as_micros());
    statement.raw_bind_parameter(1, id)?;
    statement.raw_bind_parameter(2, state.status().number())?;
    statement.raw_bind_parameter(3, state.attempt())?;
    statement.raw_bind_parameter(4, prior.number())?;
    statement.raw_bind_parameter(5, known)?;
    statement.raw_bind_parameter(6, decided)?;
    statement.raw_bind_parameter(7, released)?;
    statement.raw_bind_parameter(8, ended)?;
    statement.raw_bind_parameter(9, now.as_micros())?;
    statement.raw_bind_parameter(10, ended)
}

impl Transaction<'_> {
    pub(crate) fn event(&mut self, event: NewEvent) {
        self.events.push(event);
    }

    /// Logs a change of an execution's state.
    pub(crate) fn log(
        &mut self,
        execution: i64,
        state: State,
        kind: &'static str,
        actor: &str,
        change: Change<'_>,
    ) {
        let change = change.to(state);
        self.event(NewEvent::execution(kind, execution, state.attempt(), actor, &change));
    }

    /// Writes the state after a step, with the counters that follow from it. The row's other
    /// columns are the caller's.
    pub(crate) fn put_state(&mut self, before: &Brief, after: State) -> rusqlite::Result<()> {
        let mut statement = self.conn.prepare_cached(queries::STATE_PUT)?;
        bind_state(&mut statement, before.id, after, self.now)?;
        statement.raw_execute()?;
        drop(statement);
        self.count_change(before.state, after);
        Ok(())
    }

    /// [`Transaction::put_state`], with what the holder of the lease told.
    pub(crate) fn put_finish(
        &mut self,
        before: &Brief,
        after: State,
        told: &Told<'_>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.conn.prepare_cached(queries::FINISH_PUT)?;
        bind_state(&mut statement, before.id, after, self.now)?;
        statement.raw_bind_parameter(11, told.outcome.number())?;
        statement.raw_bind_parameter(12, told.output)?;
        statement.raw_bind_parameter(13, told.error)?;
        statement.raw_bind_parameter(14, told.last_event)?;
        statement.raw_bind_parameter(15, told.sent_at.map(Timestamp::as_micros))?;
        statement.raw_execute()?;
        drop(statement);
        self.count_change(before.state, after);
        Ok(())
    }

    /// Notes what the holder of the lease told, where that changes nothing that is known.
    pub(crate) fn put_told(&self, before: &Brief, told: Knowledge) -> rusqlite::Result<()> {
        self.conn.prepare_cached(queries::TOLD_PUT)?.execute(params![before.id, told.number()])?;
        Ok(())
    }

    pub(crate) fn count_change(&mut self, before: State, after: State) {
        let doubt = |state| i64::from(matches!(state, State::InDoubt { .. }));
        let change = doubt(after) - doubt(before);
        if change != 0 {
            self.effects.push(Effect::InDoubt(change));
        }
        if before.is_terminal() {
            self.effects.push(Effect::ReplaysChanged);
        }
    }

    /// Notes that a session is in use; written at most once a second.
    pub(crate) fn touch(&mut self, session: i64) -> rusqlite::Result<()> {
        if self.touched.is_due(session, self.now) {
            self.conn
                .prepare_cached(queries::SESSION_TOUCH)?
                .execute(params![session, self.now.as_micros()])?;
        }
        Ok(())
    }
}

impl Touched {
    fn is_due(&mut self, session: i64, now: Timestamp) -> bool {
        let last = self.0.get(&session).map_or(0, |time| time.as_micros());
        if now.as_micros() - last < TOUCH_INTERVAL {
            return false;
        }
        self.0.insert(session, now);
        if self.0.len() > MAX_TOUCHED {
            self.0.clear();
        }
        true
    }

    /// Forgets what a transaction wrote that failed.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}
