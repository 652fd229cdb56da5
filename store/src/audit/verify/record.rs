//! What the events of an execution say about it.

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

/// The detail of an event, written from a [`crate::decide::event::Detail`].
#[derive(Deserialize)]
struct LoggedDetail {
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

/// What the events of an execution add up to. Digests are in hex.
#[derive(Default)]
pub(super) struct Record {
    pub(super) state: Option<LoggedState>,
    pub(super) created: Option<String>,
    pub(super) terms: Option<String>,
    pub(super) output: Option<String>,
    pub(super) error: Option<String>,
    pub(super) answer: Option<LoggedAnswer>,
    /// The remaining events say whether there is an answer.
    pub(super) knows_answer: bool,
    pub(super) keys: Vec<LoggedKey>,
    /// Attempts that were reported as executed after a later one was claimed.
    pub(super) possible_duplicates: Vec<u32>,
    /// Its first event is still in the log.
    pub(super) whole: bool,
}

/// A state in the words of the log.
#[derive(Default, PartialEq, Eq)]
pub(super) struct LoggedState {
    pub(super) status: String,
    pub(super) attempt: u32,
    /// Only of a failure.
    pub(super) known: Option<String>,
    pub(super) prior: Option<String>,
    pub(super) decided: bool,
    pub(super) released: bool,
    pub(super) ended_at: Option<Timestamp>,
}

pub(super) struct LoggedAnswer {
    pub(super) body: String,
    pub(super) rest: Option<String>,
    pub(super) status: Option<u16>,
    /// The body was stored.
    pub(super) kept: bool,
}

/// A key that the execution took.
pub(super) struct LoggedKey {
    /// The event by which it took the key.
    pub(super) seq: i64,
    pub(super) key: String,
    pub(super) window: Option<i64>,
}

impl Record {
    /// The record of an execution whose events are all in the log.
    pub(super) fn whole() -> Self {
        Self { whole: true, knows_answer: true, ..Self::default() }
    }

    /// Adds all events, in the order of the log.
    pub(super) fn after(mut self, events: Vec<EventRow>) -> Self {
        for event in events {
            if event.kind == EventKind::PossibleDuplicate {
                self.possible_duplicates.push(event.attempt);
            }
            if let Ok(logged) = serde_json::from_str(&event.detail) {
                self.take(&event, logged);
            }
        }
        self
    }

    /// Earlier versions logged less detail.
    pub(super) const fn is_complete(&self) -> bool {
        self.terms.is_some()
    }

    fn take(&mut self, event: &EventRow, logged: LoggedDetail) {
        if event.kind == EventKind::Claimed {
            self.answer = None;
            self.knows_answer = true;
        }
        if let Some(body) = logged.body {
            self.answer = Some(LoggedAnswer {
                body,
                kept: !logged.not_kept && logged.answer.is_some(),
                rest: logged.answer,
                status: logged.answer_status,
            });
            self.knows_answer = true;
        }
        if let Some(status) = logged.status {
            if !keeps_output(&event.kind) {
                (self.output, self.error) = (logged.output, logged.error);
            }
            self.state = Some(LoggedState {
                attempt: event.attempt,
                known: logged.known.or(logged.outcome).filter(|_| status == "failed"),
                prior: logged.prior,
                decided: logged.decided,
                released: logged.released,
                ended_at: self.ended_at(event, &status),
                status,
            });
        }
        if let Some(key) = logged.key {
            self.keys.retain(|earlier| earlier.key != key);
            self.keys.push(LoggedKey { seq: event.seq, key, window: logged.window });
        }
        self.created = logged.created.or(self.created.take());
        self.terms = logged.terms.or(self.terms.take());
    }

    /// When it became terminal. An update of a terminal execution does not change that.
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

/// Whether a step leaves output and error as they are.
const fn keeps_output(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Lost | EventKind::Revived | EventKind::Doubted | EventKind::Released)
}
