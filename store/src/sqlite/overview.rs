//! Sessions with their counts, page by page, the one with the latest activity first.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::search::pattern;
use super::{queries, reader::Reader, rows};
use crate::Error;
use crate::model::{
    ExecutionStatus, GoalStatus, Page, SessionFilter, SessionStatus, SessionSummary,
};

impl Reader {
    /// A page of the sessions that pass a filter, the latest activity first.
    ///
    /// A session that is used while pages are read moves to the front: it may be told twice.
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
                message: "it is not a cursor that this list gave".to_owned(),
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

/// Puts in what a session did: reads of indexes alone, but for the goals.
fn count(conn: &Connection, row: i64, summary: &mut SessionSummary) -> rusqlite::Result<()> {
    let mut duplicates = 0;
    summary.executions = by_status(
        conn,
        queries::SESSION_EXECUTIONS,
        row,
        |n| ExecutionStatus::from_number(n).map(ExecutionStatus::as_str),
        |extra| duplicates += extra,
    )?;
    summary.duplicates = duplicates;
    summary.goals = by_status(
        conn,
        queries::SESSION_GOALS,
        row,
        |n| GoalStatus::from_number(n).map(GoalStatus::as_str),
        |_| {},
    )?;
    summary.latest_goal = conn
        .prepare_cached(queries::SESSION_LATEST_GOAL)?
        .query_row([row], |row| row.get(0))
        .optional()?;
    Ok(())
}

fn by_status(
    conn: &Connection,
    sql: &str,
    session: i64,
    word: fn(i64) -> Option<&'static str>,
    mut extra: impl FnMut(u64),
) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([session])?;
    let mut counts = BTreeMap::new();
    while let Some(row) = rows.next()? {
        extra(row.get::<_, i64>(2)?.unsigned_abs());
        if let Some(word) = word(row.get(0)?) {
            counts.insert(word.to_owned(), row.get::<_, i64>(1)?.unsigned_abs());
        }
    }
    Ok(counts)
}
