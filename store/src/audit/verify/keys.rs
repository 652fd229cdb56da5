//! Compares keys with the events of the executions that took them.

use rusqlite::{Connection, OptionalExtension as _, params};
use store_core::Error;

use super::record::LoggedKey;
use super::{PAGE, Walked, many};
use crate::read::reader::Reader;
use crate::sqlite::error::Fail;
use crate::sqlite::queries;

impl Reader {
    /// Checks that each key names an execution that took it.
    pub(super) fn verify_keys(&self, walked: &mut Walked<'_>) -> Result<(), Error> {
        let mut last = Vec::new();
        while self.snapshot(|conn| a_page(conn, &mut last, walked))? {}
        Ok(())
    }
}

/// Returns whether there may be more.
fn a_page(conn: &Connection, last: &mut Vec<u8>, walked: &mut Walked<'_>) -> Result<bool, Fail> {
    let page = many(conn, queries::VERIFY_KEYS, params![*last, PAGE], |row| {
        let key: String = row.get(0)?;
        Ok((key.to_ascii_lowercase(), row.get(1)?, row.get::<_, Vec<u8>>(2)?))
    })?;
    let Some((.., end)) = page.last() else { return Ok(false) };
    last.clone_from(end);
    for (key, execution, _) in page {
        // The events of earlier ones may be pruned.
        if execution < walked.whole_from {
            continue;
        }
        let (claimed, is_complete) = last_claim_of(conn, execution, &key)?;
        if claimed.is_none() && is_complete {
            walked.wrong("keys", execution, format!("it never took the key {key}"));
        }
    }
    Ok(true)
}

/// Checks that each key that an execution took still names it with the recorded window, or an execution that
/// took it later.
pub(super) fn verify_keys_of(
    conn: &Connection,
    execution: i64,
    keys: &[LoggedKey],
    walked: &mut Walked<'_>,
) -> Result<(), Fail> {
    for logged in keys {
        let held = conn
            .prepare_cached(queries::VERIFY_KEY)?
            .query_row([&logged.key], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?))
            })
            .optional()?;
        let message = match held {
            None => "its key is missing: a duplicate would run",
            Some((holder, window)) if holder == execution => {
                if window == logged.window {
                    continue;
                }
                "the window of its key differs from what was recorded"
            }
            Some((holder, _)) => {
                let (claimed, is_complete) = last_claim_of(conn, holder, &logged.key)?;
                if !is_complete || claimed.is_some_and(|later| later > logged.seq) {
                    continue;
                }
                "its key names another execution"
            }
        };
        walked.wrong("keys", execution, message.to_owned());
    }
    Ok(())
}

/// The last event by which an execution took a key, and whether its events record keys at all.
fn last_claim_of(
    conn: &Connection,
    execution: i64,
    key: &str,
) -> rusqlite::Result<(Option<i64>, bool)> {
    conn.prepare_cached(queries::VERIFY_LAST_CLAIM)?.query_row(params![execution, key], |row| {
        Ok((row.get(0)?, row.get::<_, Option<bool>>(1)?.unwrap_or(false)))
    })
}
