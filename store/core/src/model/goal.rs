use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::json::Json;
use super::time::Timestamp;
use super::words::{nullable, words};

words! {
    /// Where a goal is in its life.
    GoalStatus {
        Pending = 0 "pending",
        InProgress = 1 "in_progress",
        Completed = 2 "completed",
        Failed = 3 "failed",
        Cancelled = 4 "cancelled",
    }
}

words! {
    /// How urgent a goal is; the stored number sorts.
    Priority {
        Low = 0 "low",
        Medium = 1 "medium",
        High = 2 "high",
        Critical = 3 "critical",
    }
}

/// What a session is meant to reach; executions belong to goals.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Goal {
    pub id: Uuid,
    pub user_id: Uuid,
    pub session_id: Uuid,
    pub parent_goal_id: Option<Uuid>,
    pub title: String,
    pub description: Option<String>,
    pub status: GoalStatus,
    pub priority: Priority,
    #[cfg_attr(feature = "typescript", ts(type = "JsonObject"))]
    pub context: Json,
    pub result: Option<Json>,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A goal to be made.
#[derive(Debug, Clone)]
pub struct NewGoal {
    pub user_id: Uuid,
    pub session_id: Uuid,
    pub title: String,
    pub description: Option<String>,
}

/// What `update_goal` may change; absent members stay as they are.
#[derive(Debug, Clone, Deserialize)]
pub struct GoalUpdate {
    pub id: Uuid,
    #[serde(default, deserialize_with = "nullable")]
    pub parent_goal_id: Option<Option<Uuid>>,
    pub title: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub description: Option<Option<String>>,
    pub status: Option<GoalStatus>,
    pub priority: Option<Priority>,
    pub context: Option<Json>,
    #[serde(default, deserialize_with = "nullable")]
    pub result: Option<Option<Json>>,
    #[serde(default, deserialize_with = "nullable")]
    pub started_at: Option<Option<Timestamp>>,
    #[serde(default, deserialize_with = "nullable")]
    pub completed_at: Option<Option<Timestamp>>,
}
