//! Verifies the event chain, and compares all other tables with the events.

use rusqlite::{Connection, Params, Row};

mod chain;
mod entities;
mod executions;
mod keys;
mod record;

use crate::audit::report::{Finding, Report};
use crate::engine::remains;
use crate::read::reader::Reader;
use crate::sqlite::queries;
use crate::sqlite::retention::BODIES;
use store_core::Error;
use store_core::key::Digest;
use store_core::model::Timestamp;

/// How many rows one read transaction reads.
const PAGE: i64 = 1_000;

/// The inputs and findings of the comparison of tables.
struct Walked<'a> {
    /// The first events of executions before this row may be pruned.
    whole_from: i64,
    /// The bodies of answers that arrived before this time may be dropped.
    bodies_from: Timestamp,
    findings: &'a mut Vec<Finding>,
}

impl Walked<'_> {
    fn wrong(&mut self, table: &'static str, row: i64, message: String) {
        self.findings.push(Finding { table, row, message });
    }
}

fn many<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    conn.prepare_cached(sql)?.query_map(params, map)?.collect()
}

impl Reader {
    /// Verifies the chain of the event log, and that entities match their events.
    ///
    /// `head` is the head that an earlier run printed (`seq:hash`). It reveals a log whose tail was cut, or
    /// that was rewritten since. Reads the whole store: call it only where blocking is allowed.
    pub fn verify(&self, head: Option<&str>) -> Result<Report, Error> {
        let expected = head.map(parse_head).transpose()?;
        let mut findings = Vec::new();
        // Before the log is read: an engine may be writing it.
        if let Some(missing) = remains::missing(self.path())? {
            let message = remains::refusal(self.path(), &missing).to_string();
            findings.push(Finding { table: "events", row: missing.seq, message });
        }
        let log = self.verify_chain(expected.as_ref(), &mut findings)?;
        let kept = i64::try_from(BODIES.as_micros()).unwrap_or(i64::MAX);
        let mut walked = Walked {
            whole_from: log.whole_from,
            bodies_from: Timestamp::from_micros(log.end.at.as_micros().saturating_sub(kept)),
            findings: &mut findings,
        };
        let executions = self.verify_executions(&mut walked)?;
        for row in self.many(queries::VERIFY_MISSING, [PAGE], |row| row.get(0))? {
            let message = "it is missing: events, a key or an answer refer to it".to_owned();
            walked.wrong("executions", row, message);
        }
        self.verify_keys(&mut walked)?;
        self.verify_entities(log.entities, log.end.seq, &mut walked)?;
        Ok(Report {
            head: format!("{}:{}", log.end.seq, Digest::from_bytes(log.end.hash).hex(32)),
            events: log.events,
            executions,
            findings,
        })
    }
}

/// Parses a head in the form of [`Report::head`].
fn parse_head(text: &str) -> Result<(i64, String), Error> {
    text.split_once(':')
        .and_then(|(seq, hash)| Some((seq.parse().ok()?, hash.to_ascii_lowercase())))
        .filter(|(_, hash): &(i64, String)| hash.len() == 64)
        .ok_or_else(|| Error::Invalid {
            field: "head",
            message: "must be SEQ:HASH, as verify prints it".to_owned(),
        })
}
