//! Reads executions for decisions and verification. The order of columns is defined in queries.rs.

use std::borrow::Cow;

use rusqlite::Row;
use store_core::model::{EffectClass, ExecutionStatus, Origin};
use store_core::state::{Knowledge, State};

use crate::decide::brief::{Brief, Guard};
use crate::decide::execution::{Created, Terms};
use crate::sqlite::rows::{optional_time, optional_word, time, uuid, word};

/// The first column after those of a [`Brief`].
pub(crate) const BEHIND_BRIEF: usize = 27;

pub(crate) fn brief(row: &Row<'_>) -> rusqlite::Result<Brief> {
    Ok(Brief {
        row: row.get(0)?,
        id: uuid(row, 1)?,
        session: row.get(2)?,
        state: state(row, 3)?,
        reported: optional_word(row, 9, Knowledge::from_number)?,
        class: word(row, 10, EffectClass::from_number)?,
        lease_ms: row.get(11)?,
        claim_id: row.get(12)?,
        fingerprint: row.get(13)?,
        principal: row.get(14)?,
        repeat: row.get(15)?,
        last_event: row.get(16)?,
        first_sent_at: optional_time(row, 17)?,
        sent_at: optional_time(row, 18)?,
        started_at: optional_time(row, 19)?,
        ended_at: optional_time(row, 20)?,
        error: row.get(21)?,
        upstream_key: row.get(22)?,
        content: row.get(23)?,
        guard: optional_word(row, 24, Guard::from_number)?,
        window: row.get(25)?,
        named_for: row.get(26)?,
    })
}

/// Reads a state from six columns, from `at` on.
pub(crate) fn state(row: &Row<'_>, at: usize) -> rusqlite::Result<State> {
    let attempt: u32 = row.get(at + 1)?;
    let prior = word(row, at + 2, Knowledge::from_number)?;
    let decided: bool = row.get(at + 4)?;
    Ok(match word(row, at, ExecutionStatus::from_number)? {
        ExecutionStatus::Pending => State::Pending,
        ExecutionStatus::Running if attempt == 0 => State::Working,
        ExecutionStatus::Running => State::Running { attempt, prior },
        ExecutionStatus::Completed => State::Completed { attempt, decided },
        ExecutionStatus::Failed => {
            State::Failed { attempt, known: word(row, at + 3, Knowledge::from_number)?, decided }
        }
        ExecutionStatus::Cancelled => State::Cancelled,
        ExecutionStatus::InDoubt => State::InDoubt { attempt, prior, released: row.get(at + 5)? },
    })
}

/// Reads the columns that are never updated, from column `at` of [`crate::sqlite::queries::VERIFY_EXECUTIONS`] on.
pub(crate) fn created<'a>(row: &'a Row<'_>, at: usize) -> rusqlite::Result<Created<'a>> {
    Ok(Created {
        id: uuid(row, at)?,
        user: row.get(at + 1)?,
        session: row.get(at + 2)?,
        goal: row.get(at + 3)?,
        origin: word(row, at + 4, Origin::from_number)?,
        tool: row.get_ref(at + 5)?.as_str()?,
        input: row.get_ref(at + 6)?.as_str()?,
        key: row.get_ref(at + 7)?.as_str_or_null()?,
        principal: row.get(at + 8)?,
        repeat: row.get(at + 9)?,
        at: time(row, at + 10)?,
    })
}

/// Reads the terms of the newest attempt, from column `at` of [`crate::sqlite::queries::VERIFY_EXECUTIONS`] on.
pub(crate) fn terms<'a>(row: &'a Row<'_>, at: usize) -> rusqlite::Result<Terms<'a>> {
    Ok(Terms {
        class: word(row, at, EffectClass::from_number)?,
        fingerprint: row.get(at + 1)?,
        content: row.get(at + 2)?,
        literal: row.get(at + 3)?,
        rule: row.get_ref(at + 4)?.as_str_or_null()?,
        ruled: row.get(at + 6)?,
        upstream_key: row.get_ref(at + 5)?.as_str_or_null()?.map(Cow::Borrowed),
    })
}
