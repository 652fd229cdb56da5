//! Walks the event chain, and compares each execution with what its events say.

use rusqlite::params;
use serde::Deserialize;

use super::events::{Head, chain};
use super::reader::Reader;
use super::{queries, rows};
use crate::key::Digest;
use crate::model::ExecutionStatus;
use crate::verify::{Finding, Report};
use crate::{Error, model::Timestamp};

/// Rows that one read transaction takes.
const PAGE: i64 = 1_000;

struct EventRow {
    seq: i64,
    at: Timestamp,
    kind: String,
    execution: Option<i64>,
    session: Option<i64>,
    attempt: Option<u32>,
    actor: String,
    detail: String,
    hash: [u8; 32],
}

#[derive(Deserialize)]
struct Pruned {
    up_to: i64,
    hash: String,
}

impl Reader {
    /// Walks the log's chain and the invariants between events and entities.
    ///
    /// `head` is one that an earlier run printed (`seq:hash`): a log whose tail was cut, or that was
    /// rewritten since, then shows. Reads the whole store: call it where blocking is allowed.
    pub fn verify(&self, head: Option<&str>) -> Result<Report, Error> {
        let expected = head.map(parse_head).transpose()?;
        let mut findings = Vec::new();
        let (end, events, oldest) = self.verify_chain(expected.as_ref(), &mut findings)?;
        let executions = self.verify_executions(oldest, &mut findings)?;
        let orphans = self.one(queries::VERIFY_KEYS, [], |row| row.get::<_, i64>(0))?.unwrap_or(0);
        if orphans > 0 {
            let message = format!("{orphans} keys name executions that are not there");
            findings.push(Finding { table: "keys", row: 0, message });
        }
        Ok(Report {
            head: format!("{}:{}", end.seq, Digest::from_bytes(end.hash).hex(32)),
            events,
            executions,
            findings,
        })
    }

    /// The end of the chain, how many rows it has, and the time of the oldest.
    fn verify_chain(
        &self,
        expected: Option<&(i64, String)>,
        findings: &mut Vec<Finding>,
    ) -> Result<(Head, u64, Timestamp), Error> {
        let mut end = Head::EMPTY;
        let (mut count, mut oldest) = (0, Timestamp::from_micros(i64::MIN));
        // What retention dropped is vouched for by a later row that names its last hash.
        let mut first_left: Option<EventRow> = None;
        let mut wanted = expected;
        let wrong = |row, message: String| Finding { table: "events", row, message };
        loop {
            let page = self.many(queries::EVENT_RANGE, params![end.seq, PAGE], event_row)?;
            if page.is_empty() {
                break;
            }
            for event in page {
                let first_after_cut = count == 0 && event.seq > 1;
                if first_after_cut {
                    oldest = event.at;
                } else if event.seq != end.seq + 1 {
                    let missing = end.seq + 1..event.seq;
                    findings.push(wrong(
                        missing.start,
                        format!("rows {} to {} are missing", missing.start, missing.end - 1),
                    ));
                }
                let hash = event.hash_after(&end.hash);
                if hash != event.hash && !first_after_cut {
                    findings.push(wrong(
                        event.seq,
                        format!("the row ({}) was changed, or one before it", event.kind),
                    ));
                }
                if first_left.as_ref().is_some_and(|first| event.vouches_for_cut_before(first)) {
                    first_left = None;
                }
                end = Head { seq: event.seq, at: event.at, hash: event.hash };
                count += 1;
                if first_after_cut {
                    first_left = Some(event);
                }
                if wanted.is_some_and(|(seq, _)| *seq == end.seq) {
                    let same = wanted
                        .is_some_and(|(_, hash)| *hash == Digest::from_bytes(end.hash).hex(32));
                    if !same {
                        findings.push(wrong(
                            end.seq,
                            "its hash is not the one of the given head".to_owned(),
                        ));
                    }
                    wanted = None;
                }
            }
        }
        if let Some(first) = first_left {
            let cut = first.seq - 1;
            findings.push(wrong(
                cut,
                format!("rows 1 to {cut} are missing, and no pruning is recorded"),
            ));
        }
        if let Some((seq, _)) = wanted
            && *seq > end.seq
        {
            findings.push(wrong(
                *seq,
                format!("the log ends at row {}, before the given head: its tail was cut", end.seq),
            ));
        }
        Ok((end, count, oldest))
    }

    fn verify_executions(
        &self,
        oldest: Timestamp,
        findings: &mut Vec<Finding>,
    ) -> Result<u64, Error> {
        let (mut last, mut count) = (0, 0);
        loop {
            let page = self.many(queries::VERIFY_EXECUTIONS, params![last, PAGE], execution_row)?;
            let Some(end) = page.last() else { return Ok(count) };
            last = end.row;
            for execution in page {
                count += 1;
                // Its first events may have been pruned.
                if execution.created_at < oldest {
                    continue;
                }
                let told = self.many(queries::VERIFY_EVENTS, [execution.row], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, Option<u32>>(1)?, row.get(2)?))
                })?;
                execution.compare(&told, findings);
            }
        }
    }
}

impl EventRow {
    /// It records a pruning that ends right before `first`, with the hash that `first` goes on from.
    fn vouches_for_cut_before(&self, first: &Self) -> bool {
        let Ok(pruned) = serde_json::from_str::<Pruned>(&self.detail) else { return false };
        let mut hash = [0_u8; 32];
        for (byte, digits) in hash.iter_mut().zip(pruned.hash.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).ok();
            *byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok()).unwrap_or(0);
        }
        self.kind == "pruned"
            && pruned.up_to + 1 == first.seq
            && first.hash_after(&hash) == first.hash
    }

    fn hash_after(&self, previous: &[u8; 32]) -> [u8; 32] {
        chain(
            previous,
            self.seq,
            self.at,
            &self.kind,
            self.execution,
            self.session,
            self.attempt,
            &self.actor,
            &self.detail,
        )
    }
}

fn event_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow {
        seq: row.get(0)?,
        at: rows::time(row, 1)?,
        kind: row.get(2)?,
        execution: row.get(3)?,
        session: row.get(4)?,
        attempt: row.get(5)?,
        actor: row.get(6)?,
        detail: row.get(7)?,
        hash: row.get(8)?,
    })
}

struct ExecutionRow {
    row: i64,
    status: ExecutionStatus,
    attempt: u32,
    input: Digest,
    output: Option<Digest>,
    created_at: Timestamp,
    body_column: Option<[u8; 32]>,
    body: Option<Digest>,
}

fn execution_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<ExecutionRow> {
    let input: String = row.get(3)?;
    let output: Option<String> = row.get(4)?;
    Ok(ExecutionRow {
        row: row.get(0)?,
        status: rows::word(row, 1, ExecutionStatus::from_number)?,
        attempt: row.get(2)?,
        input: Digest::of(input.as_bytes()),
        output: output.map(|text| Digest::of(text.as_bytes())),
        created_at: rows::time(row, 5)?,
        body_column: row.get(6)?,
        body: row.get_ref(7)?.as_blob_or_null()?.map(Digest::of),
    })
}

/// What an event tells of an execution.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    status: Option<String>,
    input: Option<String>,
    output: Option<String>,
    body: Option<String>,
}

impl ExecutionRow {
    /// Compares the row with the last word of its events.
    fn compare(&self, events: &[(String, Option<u32>, String)], findings: &mut Vec<Finding>) {
        let mut wrong = |message: String| {
            findings.push(Finding { table: "executions", row: self.row, message });
        };
        let (mut last, mut attempt) = (Told::default(), 0);
        for (kind, of, detail) in events {
            let told: Told = serde_json::from_str(detail).unwrap_or_default();
            if kind == "possible-duplicate" {
                wrong(format!(
                    "attempt {} was told to have executed after a later one was claimed: it may have run twice",
                    of.unwrap_or(0)
                ));
            }
            if told.status.is_some() {
                last.status = told.status;
                last.output = told.output;
                attempt = of.unwrap_or(0);
                if kind == "claimed" {
                    last.body = None;
                }
            }
            last.input = told.input.or(last.input);
            last.body = told.body.or(last.body);
        }
        if last.status.as_deref() != Some(self.status.as_str()) || attempt != self.attempt {
            wrong(format!(
                "it is {} at attempt {}, its events say {} at attempt {attempt}",
                self.status,
                self.attempt,
                last.status.as_deref().unwrap_or("nothing")
            ));
        }
        if last.input.is_some_and(|digest| digest != self.input.hex(32)) {
            wrong("its input is not the one that was recorded".to_owned());
        }
        if last.output != self.output.map(|digest| digest.hex(32)) {
            wrong("its output is not the one that was recorded".to_owned());
        }
        let column = self.body_column.map(|bytes| Digest::from_bytes(bytes).hex(32));
        let body_changed = self.body.is_some_and(|body| Some(body.hex(32)) != column);
        if last.body != column || body_changed {
            wrong("its answer is not the one that was recorded".to_owned());
        }
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
