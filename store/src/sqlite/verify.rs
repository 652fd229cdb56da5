//! Walks the event chain, and compares all other tables with what the events say.

mod chain;
mod entities;
mod executions;
mod keys;
mod record;

use super::queries;
use super::reader::Reader;
use crate::Error;
use crate::key::Digest;
use crate::verify::{Finding, Report};

/// Rows that one read transaction takes.
const PAGE: i64 = 1_000;

/// What the walk through the tables goes by, and finds.
struct Walked<'a> {
    /// Of executions before this row the first events may be pruned.
    whole_from: i64,
    findings: &'a mut Vec<Finding>,
}

impl Walked<'_> {
    fn wrong(&mut self, table: &'static str, row: i64, message: String) {
        self.findings.push(Finding { table, row, message });
    }
}

impl Reader {
    /// Walks the log's chain and the invariants between events and entities.
    ///
    /// `head` is one that an earlier run printed (`seq:hash`): a log whose tail was cut, or that was
    /// rewritten since, then shows. Reads the whole store: call it where blocking is allowed.
    pub fn verify(&self, head: Option<&str>) -> Result<Report, Error> {
        let expected = head.map(parse_head).transpose()?;
        let mut findings = Vec::new();
        let log = self.verify_chain(expected.as_ref(), &mut findings)?;
        let mut walked = Walked { whole_from: log.whole_from, findings: &mut findings };
        let executions = self.verify_executions(&mut walked)?;
        for row in self.many(queries::VERIFY_MISSING, [PAGE], |row| row.get(0))? {
            let message = "it is missing: events, a key or an answer name it".to_owned();
            walked.wrong("executions", row, message);
        }
        self.verify_keys(&mut walked)?;
        self.verify_entities(log.entities, &mut walked)?;
        Ok(Report {
            head: format!("{}:{}", log.end.seq, Digest::from_bytes(log.end.hash).hex(32)),
            events: log.events,
            executions,
            findings,
        })
    }
}

/// A head as [`Report::head`] prints it.
fn parse_head(text: &str) -> Result<(i64, String), Error> {
    text.split_once(':')
        .and_then(|(seq, hash)| Some((seq.parse().ok()?, hash.to_ascii_lowercase())))
        .filter(|(_, hash): &(i64, String)| hash.len() == 64)
        .ok_or_else(|| Error::Invalid {
            field: "head",
            message: "it must be SEQ:HASH, as verify prints it".to_owned(),
        })
}
