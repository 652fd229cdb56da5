//! Sessions with counts, in pages, the latest activity first.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use store_core::Error;
use store_core::model::{
    ExecutionStatus, GoalStatus, Page, SessionFilter, SessionStatus, SessionSummary,
};
use uuid::Uuid;

use crate::read::reader::Reader;
use crate::read::search::pattern;
use crate::sqlite::{queries, rows};

impl Reader {
    /// A page of the sessions that pass a filter, the latest activity first.
    ///
    /// A session that is used while pages are read moves to the front, and may appear twice.
    pub fn session_summaries(
        &self,
        filter: &SessionFilter,
        at_most: usize,
        cursor: Option<&str>,
    ) -> Result<Page<SessionSummary>, Error> {
        let (before, before_id) = match cursor {
            None => (i64::MAX, i64::MAX),
            Some(cursor) => parse(cursor).ok_or_else(|| Error::Invalid {
                field: "cursor",
                message: "not a cursor of this list".to_owned(),
            })?,
        };
        let params = params![
            before,
            before_id,
            i64::try_from(at_most).unwrap_or(i64::MAX),
            filter.user_id.as_ref().map(Uuid::as_bytes),
            filter.status.map(SessionStatus::number),
            filter.text.as_deref().map(pattern),
        ];
        self.snapshot(|conn| {
            let found: Vec<_> = conn
                .prepare_cached(queries::SESSION_SUMMARIES)?
                .query_map(params, |row| Ok((row.get(0)?, rows::session_summary(row)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let mut items = Vec::with_capacity(found.len());
            let mut last = None;
            for (row, mut summary) in found {
                count(conn, row, &mut summary)?;
                last = Some((summary.last_activity_at.as_micros(), row));
                items.push(summary);
            }
            let next = last
                .filter(|_| items.len() == at_most)
                .map(|(activity, row): (i64, i64)| format!("{activity}.{row}"));
            Ok(Page { items, next })
        })
    }

    /// One session with its counts.
    pub fn session_summary(&self, id: Uuid) -> Result<SessionSummary, Error> {
        self.snapshot(|conn| {
            let (row, mut summary) = conn
                .prepare_cached(queries::SESSION_SUMMARY)?
                .query_row([id.as_bytes()], |row| Ok((row.get(0)?, rows::session_summary(row)?)))
                .optional()?
                .ok_or_else(|| Error::NotFound { what: "session", id: id.to_string() })?;
            count(conn, row, &mut summary)?;
            Ok(summary)
        })
    }
}

fn parse(cursor: &str) -> Option<(i64, i64)> {
    let (activity, row) = cursor.split_once('.')?;
    Some((activity.parse().ok()?, row.parse().ok()?))
}

/// Adds the counts of a session. Reads only indexes, except for the goals.
fn count(conn: &Connection, row: i64, summary: &mut SessionSummary) -> rusqlite::Result<()> {
    let executions = counts(conn, queries::SESSION_EXECUTIONS, row)?;
    summary.executions = executions_by_status(&executions);
    summary.duplicates = conn
        .prepare_cached(queries::SESSION_DUPLICATES)?
        .query_row([row], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()))?;
    summary.goals = counts(conn, queries::SESSION_GOALS, row)?
        .into_iter()
        .filter_map(|(status, n)| Some((GoalStatus::from_number(status)?.to_string(), n)))
        .collect();
    summary.latest_goal = conn
        .prepare_cached(queries::SESSION_LATEST_GOAL)?
        .query_row([row], |row| row.get(0))
        .optional()?;
    Ok(())
}

fn counts(conn: &Connection, sql: &str, session: i64) -> rusqlite::Result<Vec<(i64, u64)>> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement
        .query_map([session], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    rows.collect()
}

/// Counts by status. Completed executions are what remains of all (-1).
pub(crate) fn executions_by_status(counts: &[(i64, u64)]) -> BTreeMap<String, u64> {
    let all: u64 = counts.iter().filter(|(status, _)| *status < 0).map(|(_, n)| n).sum();
    let others: u64 = counts.iter().filter(|(status, _)| *status >= 0).map(|(_, n)| n).sum();
    let completed = (ExecutionStatus::Completed, all.saturating_sub(others));
    counts
        .iter()
        .filter_map(|(status, n)| Some((ExecutionStatus::from_number(*status)?, *n)))
        .chain([completed])
        .filter(|(_, n)| *n > 0)
        .map(|(status, n)| (status.to_string(), n))
        .collect()
}
