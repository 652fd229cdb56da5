//! What is to be written after a decision: data that a backend applies in one transaction.

use std::sync::Arc;
use std::time::Duration;

use store_core::call::Settled;
use store_core::model::{Actor, EventKind, ExecutionStatus, Timestamp};
use store_core::state::{Knowledge, State};

use crate::decide::answer::AnswerRow;
use crate::decide::brief::Brief;
use crate::decide::event::{Detail, NewEvent};
use crate::decide::execution::{KeyRow, NewExecution, Terms};

/// The answer for the caller, and what is to be on disk before it leaves.
#[derive(Debug)]
pub(crate) struct Decision<'a, T> {
    pub(crate) answer: T,
    /// `None`: nothing changes.
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

/// What changes about one execution. All of it is one transaction, in the order of its lists.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) execution: Subject<'a>,
    /// One statement each.
    pub(crate) changes: Vec<Change<'a>>,
    /// Rows of the log.
    pub(crate) events: Vec<NewEvent>,
    /// What happens in memory once all of that is on disk, and only then.
    pub(crate) effects: Vec<Effect>,
}

/// Which execution a plan is about.
#[derive(Debug)]
pub(crate) enum Subject<'a> {
    /// One that is to be inserted before anything else.
    New(Box<NewExecution<'a>>),
    /// The one of this row.
    Row(i64),
}

/// A change of an execution's row, or of a row that belongs to it. The time is the transaction's.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    /// The state after a step.
    State(State),
    /// One more attempt begins.
    Attempt(NewAttempt<'a>),
    /// The state after a step, with what the holder of the lease reported.
    Finish(State, Reported<'a>),
    /// The holder reported what changes nothing that is known.
    Reported(Knowledge),
    /// What was seen last.
    LastEvent(&'a str),
    /// How long the lease is, in milliseconds.
    Lease(i64),
    /// Output and error, by decision of a person.
    Output { output: Option<&'a str>, error: Option<&'a str> },
    /// v0.1's update of an execution that was never leased.
    Unleased(UnleasedRow),
    /// What the upstream answered.
    Answer(AnswerRow<'a>),
    /// No answer is stored any more.
    NoAnswer,
    /// The execution holds this key from now on.
    Key(KeyRow<'a>),
    /// The session is in use; worth a statement once a second.
    Touch { session: i64 },
}

/// An attempt behind the first one.
#[derive(Debug)]
pub(crate) struct NewAttempt<'a> {
    /// In milliseconds; only by the API.
    pub(crate) lease_ms: Option<i64>,
    pub(crate) claim_id: Option<[u8; 16]>,
    /// The one before is in doubt: it may have been sent when it began.
    pub(crate) after_doubt: bool,
    /// Where it has no fingerprint or rule, those of the one before stay.
    pub(crate) terms: Terms<'a>,
}

/// What the holder of a lease reported of its attempt.
#[derive(Debug)]
pub(crate) struct Reported<'a> {
    pub(crate) outcome: Knowledge,
    pub(crate) output: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
    pub(crate) last_event: &'a str,
    pub(crate) sent_at: Option<Timestamp>,
}

/// The columns that an execution without a lease has of its own.
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

/// What happens in memory after the commit.
#[derive(Debug)]
pub(crate) enum Effect {
    /// It is no longer running: those who wait for it get this.
    Settled(Arc<Settled>),
    /// An API lease runs from now on for so long.
    Leased { attempt: u32, ttl: Duration },
    /// Its API lease is over.
    Unleased,
    /// The number of proxied calls under a lease changes.
    InFlight(i64),
    /// The number of executions in doubt changes.
    InDoubt(i64),
    /// A stored outcome was overturned: remembered replays are void.
    ReplaysChanged,
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

    /// The state after a step, with the counters that follow from it. The row's other columns are the
    /// caller's.
    pub(super) fn step(&mut self, before: State, after: State) {
        self.changes.push(Change::State(after));
        self.count(before, after);
    }

    /// [`Self::step`], with what the holder of the lease reported.
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

    /// Logs that this is the state from now on.
    pub(super) fn log(&mut self, kind: EventKind, state: State, actor: Actor, detail: Detail<'_>) {
        let detail = detail.to(state);
        self.events.push(NewEvent::attempt(kind, state.attempt(), actor, &detail));
    }

    pub(super) fn change(&mut self, change: Change<'a>) {
        self.changes.push(change);
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Tells those who wait that it is no longer running.
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

/// As columns and the log keep the window of a key.
pub(super) fn micros(window: Duration) -> i64 {
    i64::try_from(window.as_micros()).unwrap_or(i64::MAX)
}

/// As a column keeps the length of a lease.
pub(super) fn millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)
}
