//! What a decision leaves in the log.

use serde::Serialize;
use store_core::key::{Digest, HolderKey, hex};
use store_core::model::Timestamp;
use store_core::state::{Knowledge, State};

/// A row of the log that has no number yet.
#[derive(Debug, Clone)]
pub(crate) struct NewEvent {
    pub(crate) kind: &'static str,
    pub(crate) execution: Option<i64>,
    pub(crate) session: Option<i64>,
    pub(crate) attempt: Option<u32>,
    pub(crate) actor: String,
    pub(crate) detail: String,
}

impl NewEvent {
    /// About the engine or the store as a whole.
    pub(crate) fn engine<D: Serialize>(kind: &'static str, detail: &D) -> Self {
        Self {
            kind,
            execution: None,
            session: None,
            attempt: None,
            actor: "engine".to_owned(),
            detail: serde_json::to_string(detail).unwrap_or_default(),
        }
    }

    /// About an execution.
    pub(crate) fn execution<D: Serialize>(
        kind: &'static str,
        execution: i64,
        attempt: u32,
        actor: &str,
        detail: &D,
    ) -> Self {
        Self {
            kind,
            execution: Some(execution),
            session: None,
            attempt: Some(attempt),
            actor: actor.to_owned(),
            detail: serde_json::to_string(detail).unwrap_or_default(),
        }
    }
}

/// What a change of an execution's state leaves in the log; digests stand for bodies.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Change<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<&'a str>,
    /// What was told, where anything was; else what is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<&'a str>,
    /// What is known of a failure, where that is not what was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) known: Option<&'a str>,
    /// Of the earlier attempts that nothing has settled, where they are not all known not to have executed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prior: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) decided: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) released: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<&'a str>,
    /// The run of the agent that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<&'a str>,
    /// [`crate::decide::made::Made::digest`], in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) made: Option<String>,
    /// [`crate::decide::made::Asked::digest`], in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) asked: Option<String>,
    /// The place of the key that names the execution from now on, in hex, and for how long it is held, in
    /// microseconds: its row in the table of keys.
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
    /// [`crate::sqlite::answers::Digests::rest`], in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer_status: Option<u16>,
    /// The answer's body was not kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) not_kept: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sent_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_byte_at: Option<Timestamp>,
}

impl Change<'_> {
    /// That is the state from now on.
    pub(crate) fn to(self, state: State) -> Self {
        let word = Knowledge::as_str;
        let known = state.outcome().map(word);
        let prior = match state {
            State::Running { prior, .. } | State::InDoubt { prior, .. } => prior,
            _ => Knowledge::NotExecuted,
        };
        let outcome = self.outcome.or(known);
        Self {
            status: Some(state.status().as_str()),
            outcome,
            known: known.filter(|_| matches!(state, State::Failed { .. }) && outcome != known),
            prior: (prior != Knowledge::NotExecuted).then(|| word(prior)),
            decided: matches!(
                state,
                State::Completed { decided: true, .. } | State::Failed { decided: true, .. }
            ),
            released: matches!(state, State::InDoubt { released: true, .. }),
            ..self
        }
    }

    /// What was asked, and the key that names it from now on.
    pub(crate) fn asked(self, asked: &Digest, key: Option<(&HolderKey, Option<i64>)>) -> Self {
        Self {
            asked: Some(asked.hex(16)),
            key: key.map(|(holder, _)| hex(holder.as_bytes())),
            window: key.and_then(|(_, window)| window),
            ..self
        }
    }
}

/// As the log keeps an output or an error.
pub(crate) fn text_digest(text: Option<&str>) -> Option<String> {
    text.map(|text| Digest::of(text.as_bytes()).hex(32))
}
