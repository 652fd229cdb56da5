//! Summaries for people: sessions with counts, executions without bodies, one execution in full.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use super::event::Event;
use super::execution::{EffectClass, ExecutionStatus, Origin};
use super::json::Json;
use super::knowledge::Knowledge;
use super::session::SessionStatus;
use super::time::Timestamp;

/// A session with counts of its executions and goals.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct SessionSummary {
    /// Its id.
    pub id: Uuid,
    /// The user that it belongs to.
    pub user_id: Uuid,
    /// The user's name.
    pub username: String,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// How far it is.
    pub status: SessionStatus,
    /// The title of its newest goal, cut at 200 characters.
    pub latest_goal: Option<String>,
    /// By status.
    pub goals: BTreeMap<String, u64>,
    /// By status.
    pub executions: BTreeMap<String, u64>,
    /// How many duplicates of its executions were stopped.
    pub duplicates: u64,
    /// When it was last used.
    pub last_activity_at: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Which sessions a list shows; absent members do not restrict it.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Of this user.
    pub user_id: Option<Uuid>,
    /// In this state.
    pub status: Option<SessionStatus>,
    /// Part of its name, of its user's name or of a goal's title; case does not count.
    pub text: Option<String>,
}

/// An execution without its request and answer.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ExecutionSummary {
    /// Its id.
    pub id: Uuid,
    /// The goal that it belongs to.
    pub goal_id: Uuid,
    /// The session that it belongs to.
    pub session_id: Uuid,
    /// The user that it belongs to.
    pub user_id: Uuid,
    /// The tool's name.
    pub tool_name: String,
    /// Its state.
    pub status: ExecutionStatus,
    /// The number of the newest attempt; 0 where it was never leased.
    pub attempt: u32,
    /// What is known about the effect.
    pub outcome: Option<Knowledge>,
    /// How it was submitted.
    pub origin: Origin,
    /// The effect of repeating it.
    pub effect: EffectClass,
    /// The rule that decided this; null for API executions.
    pub rule: Option<String>,
    /// The key that it was claimed under.
    pub idempotency_key: Option<String>,
    /// Cut at 300 characters.
    pub error: Option<String>,
    /// Method and URL of a proxied call, or the beginning of the input.
    pub preview: String,
    /// The status that the upstream answered with.
    pub answer_status: Option<u16>,
    /// The last step that was seen of the newest attempt.
    pub last_event: Option<String>,
    /// How many duplicates were stopped.
    pub duplicates: u64,
    /// When duplicates came, oldest first: at most 64 of them.
    pub duplicate_times: Vec<Timestamp>,
    /// When the newest attempt started.
    pub started_at: Option<Timestamp>,
    /// When the first byte of the newest attempt was sent; known for proxied calls that have ended.
    pub sent_at: Option<Timestamp>,
    /// When the first byte of the answer arrived.
    pub first_byte_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Which executions a search shows; absent members do not restrict it.
#[derive(Debug, Clone, Default)]
pub struct SearchFilter {
    /// Of this user.
    pub user_id: Option<Uuid>,
    /// Of this session.
    pub session_id: Option<Uuid>,
    /// Of this goal.
    pub goal_id: Option<Uuid>,
    /// In this state.
    pub status: Option<ExecutionStatus>,
    /// Submitted this way.
    pub origin: Option<Origin>,
    /// Part of the tool's name; case does not count.
    pub tool: Option<String>,
    /// Part of id, tool, key, input, error or the API's output; case does not count.
    pub text: Option<String>,
    /// Only those that had duplicates.
    pub duplicated: bool,
    /// Created at or after.
    pub after: Option<Timestamp>,
    /// Created before.
    pub before: Option<Timestamp>,
}

/// A text, cut at the requested length.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Excerpt {
    /// `None` if only digest and size are stored, or it is not text.
    pub text: Option<String>,
    /// It is JSON, as it arrived.
    pub json: bool,
    /// `text` is only its beginning.
    pub cut: bool,
    /// The size of the whole, in bytes.
    pub size: u64,
    /// SHA-256 of the whole in hex, if it is stored.
    pub sha256: Option<String>,
}

/// The request of a proxied call as it is stored, secrets masked.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct RequestDetail {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers.
    pub headers: Json,
    /// The body; null where there was none.
    pub body: Option<Excerpt>,
}

/// The response of an upstream.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct AnswerDetail {
    /// The status.
    pub status: u16,
    /// As they arrived, in order. `Set-Cookie` is never stored.
    pub headers: Vec<(String, String)>,
    /// The trailers.
    pub trailers: Vec<(String, String)>,
    /// It had `Set-Cookie`.
    pub cookies_omitted: bool,
    /// When its head arrived.
    pub received_at: Timestamp,
    /// The body.
    pub body: Excerpt,
}

/// One execution with everything that is stored of it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ExecutionDetail {
    /// The execution without its bodies.
    #[serde(flatten)]
    pub summary: ExecutionSummary,
    /// The user's name.
    pub username: String,
    /// The session's name, where it has one.
    pub session_name: Option<String>,
    /// The goal's title.
    pub goal_title: String,
    /// Duplicates by how they were answered, from the newest 100 events about them.
    pub answered: BTreeMap<String, u64>,
    /// The request of a proxied execution.
    pub request: Option<RequestDetail>,
    /// The response of the upstream.
    pub answer: Option<AnswerDetail>,
    /// The input of an API execution.
    pub input: Option<Excerpt>,
    /// The result of an API execution.
    pub output: Option<Excerpt>,
    /// Its oldest 500 events.
    pub events: Vec<Event>,
}
