//! Plans: what is to be written after a decision. A backend applies them in one transaction.

use std::sync::Arc;
use std::time::Duration;

use store_core::call::Settled;
use store_core::model::{Actor, EventKind, ExecutionStatus, Timestamp};
use store_core::state::{Knowledge, State};
use uuid::Uuid;

use crate::decide::answer::AnswerRow;
use crate::decide::brief::Brief;
use crate::decide::event::{Detail, NewEvent};
use crate::decide::execution::{KeyRow, NewExecution, Terms};

/// The answer for the caller, and what must be on disk before it is sent.
#[derive(Debug)]
pub(crate) struct Decision<'a, T> {
    pub(crate) answer: T,
    /// `None`: nothing is written.
    pub(crate) plan: Option<Plan<'a>>,
}

impl<'a, T> Decision<'a, T> {
    /// An answer that changes nothing.
    pub(super) const fn only(answer: T) -> Self {
        Self { answer, plan: None }
    }

    pub(super) const fn new(answer: T, plan: Plan<'a>) -> Self {
        Self { answer, plan: Some(plan) }
    }
}

/// The changes of one execution. They are written in one transaction, in order.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) execution: Subject<'a>,
    /// One statement for each.
    pub(crate) changes: Vec<Change<'a>>,
    /// Rows of the log.
    pub(crate) events: Vec<NewEvent>,
    /// Applied in memory after the commit, and only then.
    pub(crate) effects: Vec<Effect>,
}

/// The execution of a plan.
#[derive(Debug)]
pub(crate) enum Subject<'a> {
    /// A new one, to be inserted before the changes.
    New(Box<NewExecution<'a>>),
    /// The execution in this row.
    Row(i64),
}

/// A change of an execution's row, or of a row that belongs to it. Timestamps are those of the transaction.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    /// The new state.
    State(State),
    /// A new attempt starts.
    Attempt(NewAttempt<'a>),
    /// The new state, with the report of the lease holder.
    Finish(State, Reported<'a>),
    /// A report that does not change the state.
    Reported(Knowledge),
    /// The last step that was seen.
    LastEvent(&'a str),
    /// The length of the lease in milliseconds.
    Lease(i64),
    /// Output and error of a verdict.
    Output { output: Option<&'a str>, error: Option<&'a str> },
    /// v0.1's update of an execution that was never leased.
    Unleased(UnleasedRow),
    /// Stores the answer of the upstream.
    Answer(AnswerRow<'a>),
    /// Deletes the stored answer.
    NoAnswer,
    /// The execution takes a key.
    Key(KeyRow<'a>),
    /// The answer is given to another client.
    Given,
    /// The answer did not arrive, or the client has left.
    Undelivered,
    /// The session is in use. Written at most once a second.
    Touch { session: i64 },
}

/// An attempt after the first one.
#[derive(Debug)]
pub(crate) struct NewAttempt<'a> {
    /// In milliseconds; only for API leases.
    pub(crate) lease_ms: Option<i64>,
    pub(crate) claim_id: Option<[u8; 16]>,
    /// The previous attempt is in doubt: it may have been sent when it started.
    pub(crate) after_doubt: bool,
    /// A missing fingerprint or rule leaves the previous one.
    pub(crate) terms: Terms<'a>,
}

/// The report of a lease holder.
#[derive(Debug)]
pub(crate) struct Reported<'a> {
    pub(crate) outcome: Knowledge,
    pub(crate) output: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
    pub(crate) last_event: &'a str,
    pub(crate) sent_at: Option<Timestamp>,
    /// It ran, and its answer is about to be given to a client that may never get it.
    pub(crate) gives_answer: bool,
}

/// The columns that v0.1 updates.
#[derive(Debug)]
pub(crate) struct UnleasedRow {
    pub(crate) status: ExecutionStatus,
    pub(crate) known: Option<Knowledge>,
    pub(crate) output: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) completed_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
}

/// An effect in memory, after the commit.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The execution is no longer running: its waiters get this.
    Settled(Arc<Settled>),
    /// An API lease starts, or is extended.
    Leased { attempt: u32, ttl: Duration },
    /// The API lease ends.
    Unleased,
    /// The number of proxied calls under a lease changes.
    InFlight(i64),
    /// The number of executions in doubt changes.
    InDoubt(i64),
    /// A stored outcome was overturned: cached replays are invalid.
    ReplaysChanged,
    /// The answer of this execution is about to be given.
    Given(Uuid),
}

impl<'a> Plan<'a> {
    pub(super) fn insert(execution: NewExecution<'a>) -> Self {
        Self::of(Subject::New(Box::new(execution)))
    }

    pub(super) fn about(execution: &Brief) -> Self {
        Self::of(Subject::Row(execution.row))
    }

    const fn of(execution: Subject<'a>) -> Self {
        Self { execution, changes: Vec::new(), events: Vec::new(), effects: Vec::new() }
    }

    /// Writes a new state, and updates the counters.
    pub(super) fn step(&mut self, before: State, after: State) {
        self.changes.push(Change::State(after));
        self.count(before, after);
    }

    /// [`Self::step`], with the report of the lease holder.
    pub(super) fn finish(&mut self, before: State, after: State, reported: Reported<'a>) {
        self.changes.push(Change::Finish(after, reported));
        self.count(before, after);
    }

    pub(super) fn count(&mut self, before: State, after: State) {
        let doubt = |state| i64::from(matches!(state, State::InDoubt { .. }));
        let change = doubt(after) - doubt(before);
        if change != 0 {
            self.effects.push(Effect::InDoubt(change));
        }
        if before.is_terminal() {
            self.effects.push(Effect::ReplaysChanged);
        }
    }

    /// Logs an event with the new state.
    pub(super) fn log(&mut self, kind: EventKind, state: State, actor: Actor, detail: Detail<'_>) {
        let detail = detail.to(state);
        self.events.push(NewEvent::attempt(kind, state.attempt(), actor, &detail));
    }

    /// Logs an event that changes no state.
    pub(super) fn log_only(
        &mut self,
        kind: EventKind,
        attempt: u32,
        actor: Actor,
        detail: &Detail<'_>,
    ) {
        self.events.push(NewEvent::attempt(kind, attempt, actor, detail));
    }

    pub(super) fn change(&mut self, change: Change<'a>) {
        self.changes.push(change);
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Wakes the waiters: it is no longer running.
    pub(super) fn settle(&mut self, execution: &Brief, state: State) {
        self.effects.push(Effect::Settled(Arc::new(Settled {
            execution_id: execution.id,
            attempt: state.attempt(),
            outcome: state.outcome().unwrap_or(Knowledge::Unknown),
            answer: None,
            error: None,
            problem: None,
            doubt: None,
        })));
    }
}

/// A length of time, as columns and the log store it.
pub(crate) fn micros(window: Duration) -> i64 {
    i64::try_from(window.as_micros()).unwrap_or(i64::MAX)
}

/// The length of a lease, as its column stores it.
pub(super) fn millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)
}
