//! Users, channels, sessions, goals and memories, against the digests that the log keeps of them.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{PAGE, Walked};
use crate::Error;
use crate::sqlite::entity::{self, Noted, Table};
use crate::sqlite::reader::Reader;

/// The last word of the log on each row.
#[derive(Default)]
pub(super) struct Entities {
    digests: BTreeMap<(Table, i64), String>,
    /// Some of what an earlier version made is told of without a digest.
    partly: bool,
}

impl Entities {
    /// Takes an event of the log, in the log's order.
    pub(super) fn take(&mut self, kind: &str, detail: &str) {
        let Some(table) = Table::of_event(kind) else { return };
        match serde_json::from_str(detail) {
            Ok(Noted { row: Some(row), digest: Some(digest), .. }) => {
                self.digests.insert((table, row), digest);
            }
            _ => self.partly = true,
        }
    }
}

impl Reader {
    pub(super) fn verify_entities(
        &self,
        mut told: Entities,
        walked: &mut Walked<'_>,
    ) -> Result<(), Error> {
        let tells_all = !told.partly && walked.whole_from == i64::MIN;
        for table in Table::ALL {
            let mut from = i64::MIN;
            loop {
                let page = self.many(table.rows(), params![from, PAGE], |row| {
                    Ok((row.get::<_, i64>(0)?, entity::digest(row)?))
                })?;
                let Some((last, _)) = page.last() else { break };
                from = last.saturating_add(1);
                for (row, digest) in page {
                    let message = match told.digests.remove(&(table, row)) {
                        Some(told) if told == digest => continue,
                        Some(_) => "it is not the one that was recorded",
                        None if tells_all => "its events know nothing of it",
                        None => continue,
                    };
                    walked.wrong(table.name(), row, message.to_owned());
                }
            }
        }
        for (table, row) in told.digests.into_keys() {
            walked.wrong(table.name(), row, "it is missing: events name it".to_owned());
        }
        Ok(())
    }
}
