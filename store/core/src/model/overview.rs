//! What people look at: sessions with their counts, executions without bodies, one execution in full.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use super::event::Event;
use super::execution::{EffectClass, ExecutionStatus, Origin};
use super::json::Json;
use super::knowledge::Knowledge;
use super::session::SessionStatus;
use super::time::Timestamp;

/// A session with counts of what it did.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct SessionSummary {
    pub id: Uuid,
    pub user_id: Uuid,
    pub username: String,
    pub name: Option<String>,
    pub status: SessionStatus,
    /// The title of its newest goal, cut at 200 characters.
    pub latest_goal: Option<String>,
    /// By status.
    pub goals: BTreeMap<String, u64>,
    /// By status.
    pub executions: BTreeMap<String, u64>,
    /// How many duplicates of its executions were stopped.
    pub duplicates: u64,
    pub last_activity_at: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Which sessions a list shows; absent members do not restrict it.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    pub user_id: Option<Uuid>,
    pub status: Option<SessionStatus>,
    /// Part of its name, of its user's name or of a goal's title; case does not count.
    pub text: Option<String>,
}

/// An execution without what was sent and answered.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ExecutionSummary {
    pub id: Uuid,
    pub goal_id: Uuid,
    pub session_id: Uuid,
    pub user_id: Uuid,
    pub tool_name: String,
    pub status: ExecutionStatus,
    pub attempt: u32,
    pub outcome: Option<Knowledge>,
    pub origin: Origin,
    pub effect: EffectClass,
    pub rule: Option<String>,
    pub idempotency_key: Option<String>,
    /// Cut at 300 characters.
    pub error: Option<String>,
    /// What was asked: method and URL of a proxied call, else the beginning of the input.
    pub preview: String,
    /// The status that the upstream answered with.
    pub answer_status: Option<u16>,
    /// What was seen last of the newest attempt.
    pub last_event: Option<String>,
    pub duplicates: u64,
    /// When duplicates came, oldest first: at most 64 of them.
    pub duplicate_times: Vec<Timestamp>,
    pub started_at: Option<Timestamp>,
    /// When the newest attempt's first byte went out; known of a proxied one that is over.
    pub sent_at: Option<Timestamp>,
    pub first_byte_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Which executions a search shows; absent members do not restrict it.
#[derive(Debug, Clone, Default)]
pub struct SearchFilter {
    pub user_id: Option<Uuid>,
    pub session_id: Option<Uuid>,
    pub goal_id: Option<Uuid>,
    pub status: Option<ExecutionStatus>,
    pub origin: Option<Origin>,
    /// Part of the tool's name; case does not count.
    pub tool: Option<String>,
    /// Part of id, tool, key, input, error or the API's output; case does not count.
    pub text: Option<String>,
    /// Only those of which a duplicate was stopped.
    pub duplicated: bool,
    /// Created at or after.
    pub after: Option<Timestamp>,
    /// Created before.
    pub before: Option<Timestamp>,
}

/// A text that may be long, as much of it as was asked for.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Excerpt {
    /// `None` where only digest and size are kept, or it is no text.
    pub text: Option<String>,
    /// It is JSON, written as it came.
    pub json: bool,
    /// `text` is only its beginning.
    pub cut: bool,
    /// Of the whole, in bytes.
    pub size: u64,
    /// Of the whole, in hex, where it is stored.
    pub sha256: Option<String>,
}

/// What a proxied call asked, as it is kept: secrets are masked.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct RequestDetail {
    pub method: String,
    pub url: String,
    pub headers: Json,
    pub body: Option<Excerpt>,
}

/// What an upstream answered.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct AnswerDetail {
    pub status: u16,
    /// As they came, in order; `Set-Cookie` is never kept.
    pub headers: Vec<(String, String)>,
    pub trailers: Vec<(String, String)>,
    /// It had `Set-Cookie`.
    pub cookies_omitted: bool,
    pub received_at: Timestamp,
    pub body: Excerpt,
}

/// One execution with everything that is kept of it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ExecutionDetail {
    #[serde(flatten)]
    pub summary: ExecutionSummary,
    pub username: String,
    pub session_name: Option<String>,
    pub goal_title: String,
    /// Duplicates by how they were answered, of the newest 100 events that tell of them.
    pub answered: BTreeMap<String, u64>,
    /// Of a proxied execution.
    pub request: Option<RequestDetail>,
    pub answer: Option<AnswerDetail>,
    /// Of an execution by the API.
    pub input: Option<Excerpt>,
    pub output: Option<Excerpt>,
    /// Its oldest 500 events.
    pub events: Vec<Event>,
}
