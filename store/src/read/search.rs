//! Searches executions by filter and text.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};
use store_core::Error;
use store_core::model::{ExecutionStatus, ExecutionSummary, Origin, Page, SearchFilter, Timestamp};
use uuid::Uuid;

use crate::engine::duplicates::DuplicateCounts;
use crate::read::reader::Reader;
use crate::sqlite::{ids, queries, rows};

/// How many rows one step of a search reads.
const STEP: i64 = 5_000;
/// After this long a page is returned as it is, with a cursor to continue from.
const TIME_LIMIT: Duration = Duration::from_millis(300);
/// How many duplicates are shown with their time.
const MAX_TIMES: usize = 64;

/// The part of an event `finished` that is shown.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Finished {
    first_byte_at: Option<Timestamp>,
}

/// A LIKE pattern that finds `text` anywhere. `%` and `_` in it are escaped.
pub(crate) fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

impl Reader {
    /// A page of the executions that a search finds, newest first, without their bodies.
    ///
    /// It searches for a third of a second: a page may have less than `at_most` items, or none, and still a
    /// cursor to continue from.
    pub fn search(
        &self,
        filter: &SearchFilter,
        at_most: usize,
        cursor: Option<&str>,
    ) -> Result<Page<ExecutionSummary>, Error> {
        self.search_shown(filter, at_most, cursor, &str::to_owned)
    }

    /// As [`Reader::search`]. An execution is found by a text only if that is in what `shown` leaves
    /// of its texts.
    pub fn search_shown(
        &self,
        filter: &SearchFilter,
        at_most: usize,
        cursor: Option<&str>,
        shown: &dyn Fn(&str) -> String,
    ) -> Result<Page<ExecutionSummary>, Error> {
        let started = Instant::now();
        let newest = self.one(queries::EXECUTION_NEWEST, [], |row| row.get::<_, Option<i64>>(0))?;
        let end = newest.flatten().unwrap_or(0).saturating_add(1);
        let mut before = match cursor {
            None => end,
            Some(cursor) => cursor.parse::<i64>().map(|at| at.min(end)).map_err(|_| {
                let message = "not a cursor of this list".to_owned();
                Error::Invalid { field: "cursor", message }
            })?,
        };
        let session = match filter.session_id {
            None => None,
            Some(id) => Some(self.with(|conn| ids::session(conn, id))?.id),
        };
        let mut items = Vec::new();
        while before > 1 && items.len() < at_most && started.elapsed() < TIME_LIMIT {
            let (from, wanted) = ((before - STEP).max(1), at_most - items.len());
            let found = self.step(filter, session, (from, before), wanted)?;
            before = match found.last() {
                Some((row, _)) if found.len() == wanted => *row,
                _ => from,
            };
            for (row, summary) in found {
                if self.shows(filter, row, &summary, shown)? {
                    items.push(summary);
                }
            }
        }
        Ok(Page { items, next: (before > 1).then(|| before.to_string()) })
    }

    /// Whether the searched text is in what is shown of the execution in this row.
    fn shows(
        &self,
        filter: &SearchFilter,
        row: i64,
        summary: &ExecutionSummary,
        shown: &dyn Fn(&str) -> String,
    ) -> Result<bool, Error> {
        let Some(text) = filter.text.as_deref().map(str::to_ascii_lowercase) else {
            return Ok(true);
        };
        if summary.id.simple().to_string().contains(&text.replace('-', "")) {
            return Ok(true);
        }
        let texts = self.one(queries::SEARCHED_TEXTS, [row], |row| {
            (0..5).map(|column| row.get::<_, Option<String>>(column)).collect::<Result<Vec<_>, _>>()
        })?;
        let mut texts = texts.unwrap_or_default().into_iter().flatten();
        Ok(texts.any(|own| shown(&own).to_ascii_lowercase().contains(&text)))
    }

    /// Searches the rows `from..before`, newest first.
    fn step(
        &self,
        filter: &SearchFilter,
        session: Option<i64>,
        (from, before): (i64, i64),
        wanted: usize,
    ) -> Result<Vec<(i64, ExecutionSummary)>, Error> {
        let sql = match (session, filter.status) {
            (_, Some(ExecutionStatus::InDoubt)) => queries::SEARCH_IN_DOUBT,
            (Some(_), _) => queries::SEARCH_SESSION,
            (None, _) => queries::SEARCH,
        };
        let params = params![
            from,
            before,
            i64::try_from(wanted).unwrap_or(i64::MAX),
            session,
            filter.user_id.as_ref().map(Uuid::as_bytes),
            filter.goal_id.as_ref().map(Uuid::as_bytes),
            filter.status.map(ExecutionStatus::number),
            filter.origin.map(Origin::number),
            filter.tool.as_deref().map(pattern),
            filter.text.as_deref().map(pattern),
            filter.duplicated,
            filter.after.map(Timestamp::as_micros),
            filter.before.map(Timestamp::as_micros),
            filter.text.as_deref().map(|text| pattern(&text.replace('-', ""))),
        ];
        self.with(|conn| {
            let mut statement = conn.prepare_cached(sql)?;
            let found = statement.query_map(params, rows::execution_summary)?;
            let mut page = Vec::new();
            for row in found {
                let (row, mut summary) = row?;
                add_events(conn, row, &mut summary)?;
                page.push((row, summary));
            }
            Ok(page)
        })
    }
}

/// Adds what only the log knows: the time of the first byte, and the times of duplicates.
pub(crate) fn add_events(
    conn: &Connection,
    row: i64,
    summary: &mut ExecutionSummary,
) -> rusqlite::Result<()> {
    if summary.sent_at.is_some() {
        let detail: Option<String> = conn
            .prepare_cached(queries::EVENT_FINISHED)?
            .query_row([row], |row| row.get(0))
            .optional()?;
        let finished: Finished =
            detail.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        summary.first_byte_at = finished.first_byte_at;
    }
    if summary.duplicates > 0 {
        let mut times = Vec::new();
        for noted in noted(conn, row)? {
            times.extend(noted.times);
        }
        times.sort_unstable();
        times.truncate(MAX_TIMES);
        summary.duplicate_times = times;
    }
    Ok(())
}

/// The details of the newest events `duplicates` of an execution.
pub(crate) fn noted(conn: &Connection, row: i64) -> rusqlite::Result<Vec<DuplicateCounts>> {
    let mut statement = conn.prepare_cached(queries::EVENTS_DUPLICATES)?;
    let details = statement.query_map([row], |row| row.get::<_, String>(0))?;
    details.map(|detail| Ok(serde_json::from_str(&detail?).unwrap_or_default())).collect()
}
