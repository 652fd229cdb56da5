use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::json::Json;
use super::time::Timestamp;
use super::words::{nullable, words};

words! {
    /// Where a goal is in its life.
    GoalStatus {
        /// Not started.
        Pending = 0 "pending",
        /// Being worked on.
        InProgress = 1 "in_progress",
        /// Reached.
        Completed = 2 "completed",
        /// Not reached.
        Failed = 3 "failed",
        /// Given up.
        Cancelled = 4 "cancelled",
    }
}

words! {
    /// How urgent a goal is; the stored number sorts.
    Priority {
        /// Can wait.
        Low = 0 "low",
        /// The default.
        Medium = 1 "medium",
        /// Before others.
        High = 2 "high",
        /// First of all.
        Critical = 3 "critical",
    }
}

/// What a session is meant to achieve. Executions belong to goals.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Goal {
    /// Its id.
    pub id: Uuid,
    /// The user that it belongs to.
    pub user_id: Uuid,
    /// The session that it belongs to.
    pub session_id: Uuid,
    /// The goal that it is a part of; of the same session.
    pub parent_goal_id: Option<Uuid>,
    /// What is to be reached, in a line.
    pub title: String,
    /// The same, at length.
    pub description: Option<String>,
    /// How far it is.
    pub status: GoalStatus,
    /// How urgent it is.
    pub priority: Priority,
    /// An object of the client's own.
    #[cfg_attr(feature = "typescript", ts(type = "JsonObject"))]
    pub context: Json,
    /// Its outcome.
    pub result: Option<Json>,
    /// When work on it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A goal to be created.
#[derive(Debug, Clone)]
pub struct NewGoal {
    /// The user.
    pub user_id: Uuid,
    /// The session; it belongs to the user.
    pub session_id: Uuid,
    /// Not empty.
    pub title: String,
    /// The same, at length.
    pub description: Option<String>,
}

/// What `update_goal` may change; absent members stay as they are.
#[derive(Debug, Clone, Deserialize)]
pub struct GoalUpdate {
    /// Which goal.
    pub id: Uuid,
    /// The goal that it is a part of; null for none.
    #[serde(default, deserialize_with = "nullable")]
    pub parent_goal_id: Option<Option<Uuid>>,
    /// What is to be reached.
    pub title: Option<String>,
    /// The same, at length; null removes it.
    #[serde(default, deserialize_with = "nullable")]
    pub description: Option<Option<String>>,
    /// How far it is. Sets its start and end times unless they are set.
    pub status: Option<GoalStatus>,
    /// How urgent it is.
    pub priority: Option<Priority>,
    /// Replaces all of the context.
    pub context: Option<Json>,
    /// Its outcome; null removes it.
    #[serde(default, deserialize_with = "nullable")]
    pub result: Option<Option<Json>>,
    /// When work on it started.
    #[serde(default, deserialize_with = "nullable")]
    pub started_at: Option<Option<Timestamp>>,
    /// When it ended.
    #[serde(default, deserialize_with = "nullable")]
    pub completed_at: Option<Option<Timestamp>>,
}
