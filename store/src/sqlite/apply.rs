//! Writes plans: one statement for each change.

use rusqlite::{Statement, params};
use store_core::model::{ExecutionStatus, Timestamp};
use store_core::state::{Knowledge, State};

use crate::decide::answer::AnswerRow;
use crate::decide::execution::NewExecution;
use crate::decide::plan::{Change, Decision, NewAttempt, Plan, Reported, Subject, UnleasedRow};
use crate::sqlite::queries;
use crate::sqlite::transaction::{AfterCommit, Transaction};

impl Transaction<'_> {
    /// Writes the plan of a decision and returns its answer.
    pub(crate) fn carry_out<T>(&mut self, decision: Decision<'_, T>) -> rusqlite::Result<T> {
        if let Some(plan) = decision.plan {
            self.apply(plan)?;
        }
        Ok(decision.answer)
    }

    /// Writes a plan and returns the row of its execution.
    pub(crate) fn apply(&mut self, plan: Plan<'_>) -> rusqlite::Result<i64> {
        let row = match &plan.execution {
            Subject::New(execution) => self.insert(execution)?,
            Subject::Row(row) => *row,
        };
        for change in plan.changes {
            self.change(row, change)?;
        }
        for event in plan.events {
            self.event(event.of(row));
        }
        for effect in plan.effects {
            self.after(AfterCommit::Execution(row, effect));
        }
        Ok(row)
    }

    fn change(&mut self, row: i64, change: Change<'_>) -> rusqlite::Result<()> {
        match change {
            Change::State(state) => {
                let mut statement = self.conn.prepare_cached(queries::STATE_PUT)?;
                bind_state(&mut statement, row, state, self.context.now)?;
                statement.raw_execute()?;
                Ok(())
            }
            Change::Attempt(attempt) => self.attempt(row, &attempt),
            Change::Finish(state, reported) => self.finish(row, state, &reported),
            Change::Reported(outcome) => {
                self.execute(queries::REPORTED_PUT, params![row, outcome.number()])
            }
            Change::LastEvent(event) => self.execute(queries::LAST_EVENT_PUT, params![row, event]),
            Change::Lease(millis) => self.execute(queries::LEASE_PUT, params![row, millis]),
            Change::Output { output, error } => {
                self.execute(queries::OUTPUT_PUT, params![row, output, error])
            }
            Change::Unleased(unleased) => self.unleased(row, &unleased),
            Change::Answer(answer) => self.answer(row, &answer),
            Change::NoAnswer => self.execute(queries::ANSWER_DELETE, [row]),
            Change::Key(key) => self.execute(
                queries::KEY_PUT,
                params![key.holder.as_bytes(), row, key.window, key.named_for],
            ),
            Change::Given => self.execute(queries::GUARD_GIVEN, [row]),
            Change::Undelivered => self.execute(queries::GUARD_UNDELIVERED, [row]),
            Change::Touch { session } => self.touch(session),
        }
    }

    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute(params).map(drop)
    }

    fn insert(&self, execution: &NewExecution<'_>) -> rusqlite::Result<i64> {
        let NewExecution { created, state, lease_ms, claim_id, terms } = execution;
        let created_at = created.at.as_micros();
        self.conn.prepare_cached(queries::EXECUTION_INSERT)?.execute(params![
            created.id.as_bytes(),
            created.user,
            created.session,
            created.goal,
            created.origin.number(),
            terms.class.number(),
            state.status().number(),
            state.attempt(),
            lease_ms,
            claim_id,
            created.tool,
            created.input,
            created.key,
            terms.fingerprint,
            terms.content,
            terms.literal,
            terms.ruled,
            created.principal,
            created.repeat,
            terms.rule,
            terms.upstream_key,
            (state.status() == ExecutionStatus::Running).then_some(created_at),
            created_at,
        ])?;
        Ok(self.conn.last_insert_rowid())
    }

    fn attempt(&self, row: i64, attempt: &NewAttempt<'_>) -> rusqlite::Result<()> {
        let terms = &attempt.terms;
        self.execute(
            queries::ATTEMPT_PUT,
            params![
                row,
                attempt.lease_ms,
                attempt.claim_id,
                self.context.now.as_micros(),
                terms.rule,
                attempt.after_doubt,
                terms.fingerprint,
                terms.upstream_key,
                terms.class.number(),
                terms.content,
                terms.literal,
                terms.ruled,
            ],
        )
    }

    fn finish(&self, row: i64, state: State, reported: &Reported<'_>) -> rusqlite::Result<()> {
        let mut statement = self.conn.prepare_cached(queries::FINISH_PUT)?;
        bind_state(&mut statement, row, state, self.context.now)?;
        if reported.gives_answer {
            statement.raw_bind_parameter(11, GUARD_GIVEN)?;
        }
        statement.raw_bind_parameter(12, reported.outcome.number())?;
        statement.raw_bind_parameter(13, reported.output)?;
        statement.raw_bind_parameter(14, reported.error)?;
        statement.raw_bind_parameter(15, reported.last_event)?;
        statement.raw_bind_parameter(16, reported.sent_at.map(Timestamp::as_micros))?;
        statement.raw_execute().map(drop)
    }

    fn unleased(&self, row: i64, unleased: &UnleasedRow) -> rusqlite::Result<()> {
        self.execute(
            queries::UNLEASED_PUT,
            params![
                row,
                unleased.status.number(),
                unleased.known.map(Knowledge::number),
                unleased.output,
                unleased.error,
                unleased.started_at.map(Timestamp::as_micros),
                unleased.completed_at.map(Timestamp::as_micros),
                unleased.ended_at.map(Timestamp::as_micros),
                self.context.now.as_micros(),
            ],
        )
    }

    fn answer(&self, row: i64, answer: &AnswerRow<'_>) -> rusqlite::Result<()> {
        let rest = &answer.rest;
        self.execute(
            queries::ANSWER_PUT,
            params![
                row,
                rest.status,
                rest.headers,
                rest.trailers,
                rest.cookies,
                answer.body,
                answer.sha256.as_bytes(),
                rest.size,
                rest.received_at,
            ],
        )
    }
}

/// What parameter 11 makes of the column `guard`: see `guard_after` in queries.rs.
const GUARD_KEPT: i64 = 0;
const GUARD_DOUBT: i64 = 1;
const GUARD_GIVEN: i64 = 2;
const GUARD_ENDED: i64 = 3;

/// Binds parameters 1 to 11 of a statement that writes a state.
fn bind_state(
    statement: &mut Statement<'_>,
    row: i64,
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
    statement.raw_bind_parameter(1, row)?;
    statement.raw_bind_parameter(2, state.status().number())?;
    statement.raw_bind_parameter(3, state.attempt())?;
    statement.raw_bind_parameter(4, prior.number())?;
    statement.raw_bind_parameter(5, known)?;
    statement.raw_bind_parameter(6, decided)?;
    statement.raw_bind_parameter(7, released)?;
    statement.raw_bind_parameter(8, ended)?;
    statement.raw_bind_parameter(9, now.as_micros())?;
    statement.raw_bind_parameter(10, ended)?;
    let guard = match state {
        State::InDoubt { .. } => GUARD_DOUBT,
        _ if state.is_terminal() => GUARD_ENDED,
        _ => GUARD_KEPT,
    };
    statement.raw_bind_parameter(11, guard)
}
