//! Keys and the executions that they name: each execution's events tell which keys it took.

use rusqlite::params;

use super::record::ToldKey;
use super::{PAGE, Walked};
use crate::Error;
use crate::sqlite::queries;
use crate::sqlite::reader::Reader;

impl Reader {
    /// Each key names an execution that took it.
    pub(super) fn verify_keys(&self, walked: &mut Walked<'_>) -> Result<(), Error> {
        let mut last = Vec::new();
        loop {
            let page = self.many(queries::VERIFY_KEYS, params![last, PAGE], |row| {
                let key: String = row.get(0)?;
                Ok((key.to_ascii_lowercase(), row.get(1)?, row.get::<_, Vec<u8>>(2)?))
            })?;
            let Some((.., end)) = page.last() else { return Ok(()) };
            last.clone_from(end);
            for (key, execution, _) in page {
                // Of those before it the events may be pruned.
                if execution < walked.whole_from {
                    continue;
                }
                let (taken, tells_all) = self.taken(execution, &key)?;
                if taken.is_none() && tells_all {
                    walked.wrong("keys", execution, format!("the key {key} was not its own"));
                }
            }
        }
    }

    /// Each key that an execution took names it still, for as long as was recorded, or one that took it
    /// later.
    pub(super) fn verify_taken(
        &self,
        execution: i64,
        keys: &[ToldKey],
        walked: &mut Walked<'_>,
    ) -> Result<(), Error> {
        for told in keys {
            let held = self.one(queries::VERIFY_KEY, [&told.key], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?))
            })?;
            let message = match held {
                None => "its key is missing: a duplicate would run",
                Some((holder, window)) if holder == execution => {
                    if window == told.window {
                        continue;
                    }
                    "its key is not held for as long as was recorded"
                }
                Some((holder, _)) => {
                    let (taken, tells_all) = self.taken(holder, &told.key)?;
                    if !tells_all || taken.is_some_and(|later| later > told.seq) {
                        continue;
                    }
                    "its key names another execution"
                }
            };
            walked.wrong("keys", execution, message.to_owned());
        }
        Ok(())
    }

    /// The last event by which an execution took a key, and whether its events tell of keys at all.
    fn taken(&self, execution: i64, key: &str) -> Result<(Option<i64>, bool), Error> {
        let taken = self.one(queries::VERIFY_TAKEN, params![execution, key], |row| {
            Ok((row.get(0)?, row.get::<_, Option<bool>>(1)?.unwrap_or(false)))
        })?;
        Ok(taken.unwrap_or_default())
    }
}
