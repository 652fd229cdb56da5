//! Events: what a decision writes to the log.

use serde::Serialize;
use store_core::key::{Digest, hex};
use store_core::model::{Actor, EventKind, ExecutionStatus, Timestamp};
use store_core::state::{Knowledge, State};

use crate::decide::execution::KeyRow;

/// A row of the log that is not numbered yet.
#[derive(Debug, Clone)]
pub(crate) struct NewEvent {
    pub(crate) kind: EventKind,
    pub(crate) execution: Option<i64>,
    pub(crate) session: Option<i64>,
    pub(crate) attempt: Option<u32>,
    pub(crate) actor: Actor,
    pub(crate) detail: String,
}

impl NewEvent {
    /// About the engine or the store as a whole.
    pub(crate) fn engine<D: Serialize>(kind: EventKind, detail: &D) -> Self {
        Self {
            kind,
            execution: None,
            session: None,
            attempt: None,
            actor: Actor::Engine,
            detail: serde_json::to_string(detail).unwrap_or_default(),
        }
    }

    /// About an attempt of the execution that [`Self::of`] names.
    pub(crate) fn attempt<D: Serialize>(
        kind: EventKind,
        attempt: u32,
        actor: Actor,
        detail: &D,
    ) -> Self {
        Self { attempt: Some(attempt), actor, ..Self::engine(kind, detail) }
    }

    /// Sets the row of the execution.
    pub(crate) fn of(self, execution: i64) -> Self {
        Self { execution: Some(execution), ..self }
    }
}

/// The detail of an event about an execution. Digests stand for bodies.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Detail<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<ExecutionStatus>,
    /// The reported outcome, or what is known about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<Knowledge>,
    /// What is known about a failure, if it differs from what was reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) known: Option<Knowledge>,
    /// What is known about the earlier unsettled attempts, unless none of them executed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prior: Option<Knowledge>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) decided: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) released: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<&'a str>,
    /// The run of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<&'a str>,
    /// [`crate::decide::execution::Created::digest`], in hex.
    #[serde(rename = "made", skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    /// [`crate::decide::execution::Terms::digest`], in hex.
    #[serde(rename = "asked", skip_serializing_if = "Option::is_none")]
    pub(crate) terms: Option<String>,
    /// The key that names the execution from now on, in hex, and its window in microseconds: its row in the
    /// table of keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<i64>,
    /// SHA-256 of the stored output and error, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// SHA-256 of the answer's body, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<String>,
    /// [`crate::decide::answer::Rest::digest`], in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer_status: Option<u16>,
    /// The answer's body is not stored.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) not_kept: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sent_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_byte_at: Option<Timestamp>,
}

impl Detail<'_> {
    /// Adds the new state.
    pub(crate) fn to(self, state: State) -> Self {
        let known = state.outcome();
        let prior = match state {
            State::Running { prior, .. } | State::InDoubt { prior, .. } => prior,
            _ => Knowledge::NotExecuted,
        };
        let outcome = self.outcome.or(known);
        Self {
            status: Some(state.status()),
            outcome,
            known: known.filter(|_| matches!(state, State::Failed { .. }) && outcome != known),
            prior: (prior != Knowledge::NotExecuted).then_some(prior),
            decided: matches!(
                state,
                State::Completed { decided: true, .. } | State::Failed { decided: true, .. }
            ),
            released: matches!(state, State::InDoubt { released: true, .. }),
            ..self
        }
    }

    /// The terms of the attempt, and the key that names its execution from now on.
    pub(super) fn on_terms(self, terms: &Digest, key: Option<KeyRow<'_>>) -> Self {
        let detail = Self { terms: Some(terms.hex(16)), ..self };
        match key {
            Some(key) => detail.naming(key),
            None => detail,
        }
    }

    /// The key that names the execution from now on.
    pub(super) fn naming(self, key: KeyRow<'_>) -> Self {
        Self { key: Some(hex(key.holder.as_bytes())), window: key.window, ..self }
    }
}

/// As the log keeps an output or an error.
pub(super) fn text_digest(text: Option<&str>) -> Option<String> {
    text.map(|text| Digest::of(text.as_bytes()).hex(32))
}
