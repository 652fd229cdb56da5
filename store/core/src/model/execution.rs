use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::json::Json;
use super::knowledge::Knowledge;
use super::time::Timestamp;
use super::words::{nullable, words};

words! {
    /// The state of an execution on the wire (docs/SEMANTICS.md, "States").
    ExecutionStatus {
        /// Recorded and not started.
        Pending = 0 "pending",
        /// Started; somebody may be running it.
        Running = 1 "running",
        /// The effect took place.
        Completed = 2 "completed",
        /// It ended without success; `outcome` says whether the effect took place.
        Failed = 3 "failed",
        /// Given up before it started.
        Cancelled = 4 "cancelled",
        /// Only of an execution that was claimed under a lease.
        InDoubt = 5 "in_doubt",
    }
}

words! {
    /// How an execution was submitted.
    Origin {
        /// By the state API.
        Api = 0 "api",
        /// Through the proxy.
        Proxy = 1 "proxy",
    }
}

words! {
    /// The effect of repeating a call, according to the rules and its method.
    EffectClass {
        /// Repeating it may have a second effect: the default.
        Once = 0 "once",
        /// Repeating it is harmless; an unknown outcome ends it as failed.
        Idempotent = 1 "idempotent",
        /// The upstream honours an idempotency key itself.
        Keyed = 2 "keyed",
    }
}

/// A tool call that is meant to take effect once.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "ToolExecution"))]
pub struct Execution {
    /// Its id.
    pub id: Uuid,
    /// The goal that it belongs to.
    pub goal_id: Uuid,
    /// The session that it belongs to.
    pub session_id: Uuid,
    /// The user that it belongs to.
    pub user_id: Uuid,
    /// The tool's name; of a proxied call the rule's name for it, or `METHOD host`.
    pub tool_name: String,
    /// The input; of a proxied call its method, URL, headers and body, secrets masked.
    pub tool_input: Json,
    /// Its state.
    pub status: ExecutionStatus,
    /// The result; of a proxied call the status, headers and body of the answer.
    pub output: Option<Json>,
    /// What went wrong.
    pub error: Option<String>,
    /// The key that it was claimed under.
    pub idempotency_key: Option<String>,
    /// When the newest attempt started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The number of the newest attempt, from 1; 0 if it was never leased.
    pub attempt: u32,
    /// What is known about its effect, once it is terminal or in doubt.
    pub outcome: Option<Knowledge>,
    /// How it was submitted.
    pub origin: Origin,
    /// The effect of repeating it.
    pub effect: EffectClass,
    /// It was claimed under a lease at least once: only the lease methods change it.
    pub leased: bool,
    /// The rule that decided this; null for API executions.
    pub rule: Option<String>,
}

/// A tool call to be recorded. The session must belong to the user, and the goal to the session.
#[derive(Debug, Clone)]
pub struct ToolCall {
    /// The user.
    pub user_id: Uuid,
    /// The session; it belongs to the user.
    pub session_id: Uuid,
    /// The goal; it belongs to the session.
    pub goal_id: Uuid,
    /// 1 to 255 characters.
    pub tool_name: String,
    /// The input.
    pub tool_input: Json,
}

/// What `update_tool_execution` may change of an execution that was never leased.
#[derive(Debug, Clone, Deserialize)]
pub struct ExecutionUpdate {
    /// Which execution.
    pub id: Uuid,
    /// Its state.
    pub status: Option<ExecutionStatus>,
    /// The result; null removes it.
    #[serde(default, deserialize_with = "nullable")]
    pub output: Option<Option<Json>>,
    /// What went wrong; null removes it.
    #[serde(default, deserialize_with = "nullable")]
    pub error: Option<Option<String>>,
    /// When it started.
    #[serde(default, deserialize_with = "nullable")]
    pub started_at: Option<Option<Timestamp>>,
    /// When it ended.
    #[serde(default, deserialize_with = "nullable")]
    pub completed_at: Option<Option<Timestamp>>,
}

/// Which executions a list shows; absent members do not restrict it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ExecutionFilter {
    /// Of this user.
    pub user_id: Option<Uuid>,
    /// Of this session.
    pub session_id: Option<Uuid>,
    /// Of this goal.
    pub goal_id: Option<Uuid>,
    /// In this state.
    pub status: Option<ExecutionStatus>,
    /// Of this tool.
    pub tool_name: Option<String>,
    /// Submitted this way.
    pub origin: Option<Origin>,
    /// Created at or after.
    pub after: Option<Timestamp>,
    /// Created before.
    pub before: Option<Timestamp>,
}
