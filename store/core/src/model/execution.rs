use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::json::Json;
use super::knowledge::Knowledge;
use super::time::Timestamp;
use super::words::{nullable, words};

words! {
    /// The state of an execution as the wire tells it (docs/SEMANTICS.md, "States").
    ExecutionStatus {
        Pending = 0 "pending",
        Running = 1 "running",
        Completed = 2 "completed",
        Failed = 3 "failed",
        Cancelled = 4 "cancelled",
        /// Only of an execution that was claimed under a lease.
        InDoubt = 5 "in_doubt",
    }
}

words! {
    /// Which door an execution came by.
    Origin {
        Api = 0 "api",
        Proxy = 1 "proxy",
    }
}

words! {
    /// What repeating a call would do, as far as rules and its method tell.
    EffectClass {
        /// Repeating it may act twice: the default.
        Once = 0 "once",
        /// Repeating it is harmless; an unknown outcome ends it as failed.
        Idempotent = 1 "idempotent",
        /// The upstream honours an idempotency key itself.
        Keyed = 2 "keyed",
    }
}

/// One logical effect on the world: a tool call that is meant to happen once.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "ToolExecution"))]
pub struct Execution {
    pub id: Uuid,
    pub goal_id: Uuid,
    pub session_id: Uuid,
    pub user_id: Uuid,
    pub tool_name: String,
    pub tool_input: Json,
    pub status: ExecutionStatus,
    pub output: Option<Json>,
    pub error: Option<String>,
    pub idempotency_key: Option<String>,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The number of the newest dispatch, from 1; 0 while it was never leased.
    pub attempt: u32,
    /// What is known of it, once it is terminal or in doubt.
    pub outcome: Option<Knowledge>,
    pub origin: Origin,
    pub effect: EffectClass,
    /// It was claimed under a lease at least once: only the lease methods change it.
    pub leased: bool,
    /// Which rule decided that and how it is guarded; null for the API.
    pub rule: Option<String>,
}

/// A tool call to be recorded; user, session and goal must belong together.
#[derive(Debug, Clone)]
pub struct ToolCall {
    pub user_id: Uuid,
    pub session_id: Uuid,
    pub goal_id: Uuid,
    pub tool_name: String,
    pub tool_input: Json,
}

/// What `update_tool_execution` may change of an execution that was never leased.
#[derive(Debug, Clone, Deserialize)]
pub struct ExecutionUpdate {
    pub id: Uuid,
    pub status: Option<ExecutionStatus>,
    #[serde(default, deserialize_with = "nullable")]
    pub output: Option<Option<Json>>,
    #[serde(default, deserialize_with = "nullable")]
    pub error: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    pub started_at: Option<Option<Timestamp>>,
    #[serde(default, deserialize_with = "nullable")]
    pub completed_at: Option<Option<Timestamp>>,
}

/// Which executions a list shows; absent members do not restrict it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ExecutionFilter {
    pub user_id: Option<Uuid>,
    pub session_id: Option<Uuid>,
    pub goal_id: Option<Uuid>,
    pub status: Option<ExecutionStatus>,
    pub tool_name: Option<String>,
    pub origin: Option<Origin>,
    /// Created at or after.
    pub after: Option<Timestamp>,
    /// Created before.
    pub before: Option<Timestamp>,
}
