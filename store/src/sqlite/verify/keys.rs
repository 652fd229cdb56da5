//! Keys and the executions that they name: each knows the other's text.

use rusqlite::params;

use super::PAGE;
use crate::Error;
use crate::key::{HolderKey, hex};
use crate::sqlite::queries;
use crate::sqlite::reader::Reader;
use crate::verify::Finding;

impl Reader {
    /// Finds keys that were dropped or point elsewhere. Of executions before row `whole_from` the events
    /// that allow another key may be pruned.
    pub(super) fn verify_keys(
        &self,
        whole_from: i64,
        findings: &mut Vec<Finding>,
    ) -> Result<(), Error> {
        self.verify_held(whole_from, findings)?;
        self.verify_holders(findings)
    }

    /// Each key has the text of its execution, or came to it when a doubt was released under it.
    fn verify_held(&self, whole_from: i64, findings: &mut Vec<Finding>) -> Result<(), Error> {
        let mut last = Vec::new();
        loop {
            let page = self.many(queries::VERIFY_KEYS, params![last, PAGE], |row| {
                let key: Vec<u8> = row.get(0)?;
                Ok((key, row.get::<_, i64>(1)?, row.get::<_, Option<String>>(2)?))
            })?;
            let Some((end, ..)) = page.last() else { return Ok(()) };
            last.clone_from(end);
            for (key, execution, text) in page {
                let own = text.is_some_and(|text| key.starts_with(&HolderKey::text_prefix(&text)));
                if own
                    || execution < whole_from
                    || self.one(queries::VERIFY_RELEASED, [execution], |_| Ok(()))?.is_some()
                {
                    continue;
                }
                let message = format!("the key {} was not its own", hex(&key));
                findings.push(Finding { table: "keys", row: execution, message });
            }
        }
    }

    /// The key of each execution is held, by it or by a later one.
    fn verify_holders(&self, findings: &mut Vec<Finding>) -> Result<(), Error> {
        let mut last = i64::MIN;
        loop {
            let page = self.many(queries::VERIFY_KEY_TEXTS, params![last, PAGE], |row| {
                let (user, origin): (i64, i64) = (row.get(2)?, row.get(3)?);
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?, user, origin))
            })?;
            let Some((end, ..)) = page.last() else { return Ok(()) };
            last = *end;
            for (execution, text, user, origin) in page {
                let Some(text) = text else { continue };
                let prefix = HolderKey::text_prefix(&text);
                let mut end = [0xff; 24];
                end[..prefix.len()].copy_from_slice(&prefix);
                let of = params![prefix, end, user, origin];
                let held = self.one(queries::VERIFY_KEY_HELD, of, |_| Ok(()))?;
                if held.is_none() {
                    let message = "its key is missing: a duplicate would run".to_owned();
                    findings.push(Finding { table: "keys", row: execution, message });
                }
            }
        }
    }
}
