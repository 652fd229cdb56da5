//! What a job can do inside the writer's transaction, and what follows once it is committed.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use store_core::model::Timestamp;

use crate::decide::context::Context;
use crate::decide::event::NewEvent;
use crate::decide::plan::Effect;
use crate::sqlite::queries;

/// The open transaction, what decisions in it go by, and what it leaves in the log and in memory.
pub(crate) struct Transaction<'c> {
    pub(crate) conn: &'c Connection,
    pub(crate) context: Context<'c>,
    touched: &'c mut Touched,
    events: Vec<NewEvent>,
    after: Vec<AfterCommit>,
}

/// What happens in memory after the commit, and only then.
#[derive(Debug)]
pub(crate) enum AfterCommit {
    /// To the execution of this row.
    Execution(i64, Effect),
    /// A user, session or goal changed: what is remembered of scopes is void.
    ScopesChanged,
    /// The body of a stored answer was dropped: remembered replays are void.
    ReplaysChanged,
}

/// How much a transaction has gathered so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    events: usize,
    after: usize,
}

/// When each session was last noted to be in use.
#[derive(Debug, Default)]
pub(crate) struct Touched(HashMap<i64, Timestamp>);

/// How many sessions are remembered.
const MAX_TOUCHED: usize = 10_000;

/// A session's last activity is written at most this often, in microseconds.
const TOUCH_INTERVAL: i64 = 1_000_000;

impl<'c> Transaction<'c> {
    /// One that has gathered nothing yet.
    pub(crate) fn new(
        conn: &'c Connection,
        context: Context<'c>,
        touched: &'c mut Touched,
    ) -> Self {
        Self { conn, context, touched, events: Vec::new(), after: Vec::new() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.context.now
    }

    /// Logs an event.
    pub(crate) fn event(&mut self, event: NewEvent) {
        self.events.push(event);
    }

    /// The events of all that was done in it, in order.
    pub(crate) fn events(&self) -> &[NewEvent] {
        &self.events
    }

    /// Has something done in memory once it is committed.
    pub(crate) fn after(&mut self, effect: AfterCommit) {
        self.after.push(effect);
    }

    /// What is to be done in memory now that it is committed.
    pub(crate) fn into_after(self) -> Vec<AfterCommit> {
        self.after
    }

    /// What was gathered before a job.
    pub(crate) fn mark(&self) -> Mark {
        Mark { events: self.events.len(), after: self.after.len() }
    }

    /// Forgets what was gathered since, of a job that refused.
    pub(crate) fn forget_since(&mut self, mark: Mark) {
        self.events.truncate(mark.events);
        self.after.truncate(mark.after);
    }

    /// Notes that a session is in use; written at most once a second.
    pub(crate) fn touch(&mut self, session: i64) -> rusqlite::Result<()> {
        if self.touched.is_due(session, self.context.now) {
            self.conn
                .prepare_cached(queries::SESSION_TOUCH)?
                .execute(params![session, self.context.now.as_micros()])?;
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

    /// Forgets what a failed transaction wrote.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}
