//! Compares users, channels, sessions, goals and memories with their digests in the log.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use store_core::Error;
use store_core::model::EventKind;

use super::{PAGE, Walked, many};
use crate::read::reader::Reader;
use crate::sqlite::entity_log::{self, EntityDetail, Table};
use crate::sqlite::queries;

/// The last digest of each row in the log.
#[derive(Default)]
pub(super) struct Entities {
    digests: BTreeMap<(Table, i64), String>,
    /// An earlier version has logged some rows without a digest.
    partly: bool,
}

impl Entities {
    /// Adds an event, in the order of the log.
    pub(super) fn take(&mut self, kind: &EventKind, detail: &str) {
        let Some(table) = Table::of_event(kind) else { return };
        match serde_json::from_str(detail) {
            Ok(EntityDetail { row: Some(row), digest: Some(digest), .. }) => {
                self.digests.insert((table, row), digest);
            }
            _ => self.partly = true,
        }
    }

    fn catch_up(&mut self, conn: &Connection, seq: &mut i64) -> rusqlite::Result<()> {
        loop {
            let page = many(conn, queries::VERIFY_NOTED, params![*seq, PAGE], |row| {
                let kind = EventKind::from(row.get_ref(1)?.as_str()?);
                Ok((row.get(0)?, kind, row.get::<_, String>(2)?))
            })?;
            let Some((last, ..)) = page.last() else { return Ok(()) };
            *seq = *last;
            for (_, kind, detail) in page {
                self.take(&kind, &detail);
            }
        }
    }
}

/// The comparison of the tables with the log.
struct Comparison<'w, 'f> {
    logged: Entities,
    /// Every row is in the log.
    is_complete: bool,
    walked: &'w mut Walked<'f>,
}

impl Comparison<'_, '_> {
    fn compare(&mut self, table: Table, row: i64, digest: &str) {
        let message = match self.logged.digests.remove(&(table, row)) {
            Some(logged) if logged == digest => return,
            Some(_) => "it differs from what was recorded",
            None if self.is_complete => "it is not in the event log",
            None => return,
        };
        self.walked.wrong(table.name(), row, message.to_owned());
    }
}

impl Reader {
    /// `logged`: the digests in the log up to the row `seq`.
    pub(super) fn verify_entities(
        &self,
        logged: Entities,
        mut seq: i64,
        walked: &mut Walked<'_>,
    ) -> Result<(), Error> {
        let is_complete = !logged.partly && walked.whole_from == i64::MIN;
        let mut comparison = Comparison { logged, is_complete, walked };
        for table in Table::ALL {
            let mut from = i64::MIN;
            loop {
                // Others keep writing: a page is compared with the log of the same moment.
                let page = self.snapshot(|conn| {
                    comparison.logged.catch_up(conn, &mut seq)?;
                    Ok(many(conn, table.rows(), params![from, PAGE], |row| {
                        Ok((row.get::<_, i64>(0)?, entity_log::digest(row)?))
                    })?)
                })?;
                let Some((last, _)) = page.last() else { break };
                from = last.saturating_add(1);
                for (row, digest) in page {
                    comparison.compare(table, row, &digest);
                }
            }
        }
        // Rows that are missing, or that have changed since.
        let Comparison { logged, walked, .. } = comparison;
        for (table, row) in logged.digests.into_keys() {
            let found = self.one(table.rows(), params![row, 1], |found| found.get::<_, i64>(0))?;
            if found != Some(row) {
                walked.wrong(table.name(), row, "it is missing: events refer to it".to_owned());
            }
        }
        Ok(())
    }
}
