//! The writer's transaction as jobs see it, and what follows after its commit.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use store_core::model::Timestamp;

use crate::decide::context::Context;
use crate::decide::event::NewEvent;
use crate::decide::plan::Effect;
use crate::sqlite::queries;

/// The open transaction, the context of decisions in it, and the events and effects it has gathered.
pub(crate) struct Transaction<'c> {
    pub(crate) conn: &'c Connection,
    pub(crate) context: Context<'c>,
    touched: &'c mut Touched,
    events: Vec<NewEvent>,
    after: Vec<AfterCommit>,
}

/// An effect in memory after the commit, and only then.
#[derive(Debug)]
pub(crate) enum AfterCommit {
    /// On the execution in this row.
    Execution(i64, Effect),
    /// A user, session or goal changed: cached scopes are invalid.
    ScopesChanged,
    /// The body of a stored answer was dropped: cached replays are invalid.
    ReplaysChanged,
}

/// A position in the gathered events and effects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    events: usize,
    after: usize,
}

/// When the last activity of each session was written.
#[derive(Debug, Default)]
pub(crate) struct Touched(HashMap<i64, Timestamp>);

/// How many sessions are kept.
const MAX_TOUCHED: usize = 10_000;

/// How often the last activity of a session is written at most, in microseconds.
const TOUCH_INTERVAL: i64 = 1_000_000;

impl<'c> Transaction<'c> {
    /// A transaction without events and effects.
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

    /// The gathered events, in order.
    pub(crate) fn events(&self) -> &[NewEvent] {
        &self.events
    }

    /// Adds an effect in memory.
    pub(crate) fn after(&mut self, effect: AfterCommit) {
        self.after.push(effect);
    }

    /// The gathered effects, after the commit.
    pub(crate) fn into_after(self) -> Vec<AfterCommit> {
        self.after
    }

    /// The current position, before a job.
    pub(crate) fn mark(&self) -> Mark {
        Mark { events: self.events.len(), after: self.after.len() }
    }

    /// Drops what a job that refused has gathered since.
    pub(crate) fn forget_since(&mut self, mark: Mark) {
        self.events.truncate(mark.events);
        self.after.truncate(mark.after);
    }

    /// Records that a session is in use. Written at most once a second.
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

    /// Forgets everything, after a failed transaction.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}
