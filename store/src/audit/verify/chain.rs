//! Verifies the chain: finds rows that are missing, changed or swapped, and a tail that was cut.

use rusqlite::params;
use serde::Deserialize;
use store_core::Error;
use store_core::key::Digest;
use store_core::model::{EventKind, Timestamp};

use super::PAGE;
use super::entities::Entities;
use crate::audit::events::{Columns, Head, chain};
use crate::audit::report::Finding;
use crate::read::reader::Reader;
use crate::sqlite::{queries, rows};

/// The result of a walk through the log.
pub(super) struct Log {
    pub(super) end: Head,
    pub(super) events: u64,
    /// Executions from this row on have all their events; events of earlier ones may be pruned.
    pub(super) whole_from: i64,
    pub(super) entities: Entities,
}

struct EventRow {
    seq: i64,
    at: Timestamp,
    kind: EventKind,
    execution: Option<i64>,
    session: Option<i64>,
    attempt: Option<u32>,
    actor: String,
    detail: String,
    /// Zeros if the column does not hold a hash.
    hash: [u8; 32],
}

#[derive(Deserialize)]
struct Pruned {
    up_to: i64,
    hash: String,
}

impl Reader {
    pub(super) fn verify_chain(
        &self,
        expected: Option<&(i64, String)>,
        findings: &mut Vec<Finding>,
    ) -> Result<Log, Error> {
        let mut walk = Walk {
            end: Head::EMPTY,
            events: 0,
            cut: false,
            first_remaining: None,
            first_created: None,
            entities: Entities::default(),
            wanted: expected,
            findings,
        };
        loop {
            let page = self.many(queries::EVENT_RANGE, params![walk.end.seq, PAGE], event_row)?;
            if page.is_empty() {
                return Ok(walk.over());
            }
            for event in page {
                walk.pass(event);
            }
        }
    }
}

struct Walk<'a> {
    end: Head,
    events: u64,
    /// The first rows of the log are missing.
    cut: bool,
    /// The first row after the cut, until a later row confirms the pruning by naming the last hash.
    first_remaining: Option<EventRow>,
    /// The first execution whose creation is still in the log.
    first_created: Option<i64>,
    entities: Entities,
    /// The given head, until its row is reached.
    wanted: Option<&'a (i64, String)>,
    findings: &'a mut Vec<Finding>,
}

impl Walk<'_> {
    fn wrong(&mut self, row: i64, message: String) {
        self.findings.push(Finding { table: "events", row, message });
    }

    fn pass(&mut self, event: EventRow) {
        let first_after_cut = self.events == 0 && event.seq > 1;
        let expected = self.end.seq + 1;
        if !first_after_cut && event.seq != expected {
            self.wrong(expected, format!("rows {expected} to {} are missing", event.seq - 1));
        }
        if !first_after_cut && event.hash_after(&self.end.hash) != event.hash {
            let message = format!("the row ({}) or the one before it was changed", event.kind);
            self.wrong(event.seq, message);
        }
        if self.first_remaining.as_ref().is_some_and(|first| event.vouches_for_cut_before(first)) {
            self.first_remaining = None;
        }
        if self.first_created.is_none() && event.creates_its_execution() {
            self.first_created = event.execution;
        }
        self.entities.take(&event.kind, &event.detail);
        self.end = Head { seq: event.seq, at: event.at, hash: event.hash };
        self.events += 1;
        if first_after_cut {
            self.cut = true;
            self.first_remaining = Some(event);
        }
        self.compare_with_wanted();
    }

    fn compare_with_wanted(&mut self) {
        let Some((seq, hash)) = self.wanted else { return };
        if *seq == self.end.seq {
            if *hash != Digest::from_bytes(self.end.hash).hex(32) {
                self.wrong(*seq, "its hash differs from the given head".to_owned());
            }
            self.wanted = None;
        }
    }

    fn over(mut self) -> Log {
        if let Some(first) = self.first_remaining.take() {
            let cut = first.seq - 1;
            self.wrong(cut, format!("rows 1 to {cut} are missing, and no pruning is recorded"));
        }
        let end = self.end;
        if let Some((seq, _)) = self.wanted
            && *seq > end.seq
        {
            self.wrong(
                *seq,
                format!("the log ends at row {}, before the given head: its tail was cut", end.seq),
            );
        }
        let whole_from = if self.cut { self.first_created.unwrap_or(i64::MAX) } else { i64::MIN };
        Log { end, events: self.events, whole_from, entities: self.entities }
    }
}

impl EventRow {
    /// Whether it records a pruning that ends right before `first`, with the hash that `first` continues.
    fn vouches_for_cut_before(&self, first: &Self) -> bool {
        let Ok(pruned) = serde_json::from_str::<Pruned>(&self.detail) else { return false };
        let mut hash = [0_u8; 32];
        for (byte, digits) in hash.iter_mut().zip(pruned.hash.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).ok();
            *byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok()).unwrap_or(0);
        }
        self.kind == EventKind::Pruned
            && pruned.up_to + 1 == first.seq
            && first.hash_after(&hash) == first.hash
    }

    /// Rows of executions are created in the order of these events.
    fn creates_its_execution(&self) -> bool {
        self.kind == EventKind::Created
            || self.kind == EventKind::Claimed && self.attempt == Some(1)
    }

    fn hash_after(&self, previous: &[u8; 32]) -> [u8; 32] {
        let row = Columns {
            seq: self.seq,
            at: self.at,
            kind: self.kind.as_str(),
            execution: self.execution,
            session: self.session,
            attempt: self.attempt,
            actor: &self.actor,
            detail: &self.detail,
        };
        chain(previous, &row)
    }
}

fn event_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow {
        seq: row.get(0)?,
        at: rows::time(row, 1)?,
        kind: row.get_ref(2)?.as_str()?.into(),
        execution: row.get(3)?,
        session: row.get(4)?,
        attempt: row.get::<_, Option<i64>>(5)?.map(|n| n.try_into().unwrap_or(u32::MAX)),
        actor: row.get(6)?,
        detail: row.get(7)?,
        hash: row.get_ref(8)?.as_blob()?.try_into().unwrap_or_default(),
    })
}
