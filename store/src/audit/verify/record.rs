//! What an execution's events say of it.

use serde::Deserialize;
use store_core::model::{EventKind, ExecutionStatus, Timestamp};

use crate::sqlite::rows;

/// A row of the log.
pub(super) struct EventRow {
    seq: i64,
    at: Timestamp,
    kind: EventKind,
    attempt: u32,
    detail: String,
}

impl EventRow {
    pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            at: rows::time(row, 1)?,
            kind: row.get_ref(2)?.as_str()?.into(),
            attempt: row.get::<_, Option<i64>>(3)?.map_or(0, |n| n.try_into().unwrap_or(u32::MAX)),
            detail: row.get(4)?,
        })
    }
}

/// The detail of an event, as [`crate::decide::event::Detail`] writes it.
#[derive(Deserialize)]
struct Told {
    status: Option<String>,
    outcome: Option<String>,
    known: Option<String>,
    prior: Option<String>,
    #[serde(default)]
    decided: bool,
    #[serde(default)]
    released: bool,
    #[serde(rename = "made")]
    created: Option<String>,
    #[serde(rename = "asked")]
    terms: Option<String>,
    key: Option<String>,
    window: Option<i64>,
    output: Option<String>,
    error: Option<String>,
    body: Option<String>,
    answer: Option<String>,
    answer_status: Option<u16>,
    #[serde(default)]
    not_kept: bool,
}

/// The last word of an execution's events. Digests are in hex.
#[derive(Default)]
pub(super) struct Record {
    pub(super) state: Option<ToldState>,
    pub(super) created: Option<String>,
    pub(super) terms: Option<String>,
    pub(super) output: Option<String>,
    pub(super) error: Option<String>,
    pub(super) answer: Option<ToldAnswer>,
    /// Whether there is an answer can be told from the events that are left.
    pub(super) tells_answer: bool,
    pub(super) keys: Vec<ToldKey>,
    /// Attempts that were told to have executed after a later one was claimed.
    pub(super) possible_duplicates: Vec<u32>,
    /// Its first event is there.
    pub(super) whole: bool,
}

/// A state in the words of the log.
#[derive(Default, PartialEq, Eq)]
pub(super) struct ToldState {
    pub(super) status: String,
    pub(super) attempt: u32,
    /// Of a failure alone.
    pub(super) known: Option<String>,
    pub(super) prior: Option<String>,
    pub(super) decided: bool,
    pub(super) released: bool,
    pub(super) ended_at: Option<Timestamp>,
}

pub(super) struct ToldAnswer {
    pub(super) body: String,
    pub(super) rest: Option<String>,
    pub(super) status: Option<u16>,
    /// The body was kept.
    pub(super) kept: bool,
}

/// A key that the execution took.
pub(super) struct ToldKey {
    /// By this event.
    pub(super) seq: i64,
    pub(super) key: String,
    pub(super) window: Option<i64>,
}

impl Record {
    /// Of an execution of which all events are there.
    pub(super) fn whole() -> Self {
        Self { whole: true, tells_answer: true, ..Self::default() }
    }

    /// Goes through all events, in the log's order.
    pub(super) fn after(mut self, events: Vec<EventRow>) -> Self {
        for event in events {
            if event.kind == EventKind::PossibleDuplicate {
                self.possible_duplicates.push(event.attempt);
            }
            if let Ok(told) = serde_json::from_str(&event.detail) {
                self.take(&event, told);
            }
        }
        self
    }

    /// Earlier versions told less.
    pub(super) const fn tells_all(&self) -> bool {
        self.terms.is_some()
    }

    fn take(&mut self, event: &EventRow, told: Told) {
        if event.kind == EventKind::Claimed {
            self.answer = None;
            self.tells_answer = true;
        }
        if let Some(body) = told.body {
            self.answer = Some(ToldAnswer {
                body,
                kept: !told.not_kept && told.answer.is_some(),
                rest: told.answer,
                status: told.answer_status,
            });
            self.tells_answer = true;
        }
        if let Some(status) = told.status {
            if !keeps_output(&event.kind) {
                (self.output, self.error) = (told.output, told.error);
            }
            self.state = Some(ToldState {
                attempt: event.attempt,
                known: told.known.or(told.outcome).filter(|_| status == "failed"),
                prior: told.prior,
                decided: told.decided,
                released: told.released,
                ended_at: self.ended_at(event, &status),
                status,
            });
        }
        if let Some(key) = told.key {
            self.keys.retain(|earlier| earlier.key != key);
            self.keys.push(ToldKey { seq: event.seq, key, window: told.window });
        }
        self.created = told.created.or(self.created.take());
        self.terms = told.terms.or(self.terms.take());
    }

    /// When it ended, if it did: an update of what has ended changes nothing of that.
    fn ended_at(&self, event: &EventRow, status: &str) -> Option<Timestamp> {
        let terminal =
            [ExecutionStatus::Completed, ExecutionStatus::Failed, ExecutionStatus::Cancelled];
        if !terminal.iter().any(|terminal| terminal.as_str() == status) {
            return None;
        }
        let before = self.state.as_ref().and_then(|state| state.ended_at);
        before.filter(|_| event.kind == EventKind::Updated).or(Some(event.at))
    }
}

/// A step that leaves output and error as they are.
const fn keeps_output(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Lost | EventKind::Revived | EventKind::Doubted | EventKind::Released)
}
