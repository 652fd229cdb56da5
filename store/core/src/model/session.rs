use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::json::Json;
use super::time::Timestamp;
use super::words::{nullable, words};

words! {
    /// Where a session is in its life; `active` and `paused` ones take proxied calls.
    SessionStatus {
        Active = 0 "active",
        Paused = 1 "paused",
        Completed = 2 "completed",
        Failed = 3 "failed",
        Abandoned = 4 "abandoned",
    }
}

/// One run of work by an agent for a user, over restarts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Session {
    pub id: Uuid,
    pub user_id: Uuid,
    pub channel_id: Option<Uuid>,
    pub status: SessionStatus,
    /// As stored, with the session's name (if it has one) shown as the member `name`.
    #[cfg_attr(feature = "typescript", ts(type = "JsonObject"))]
    pub metadata: Json,
    #[cfg_attr(feature = "typescript", ts(type = "JsonObject"))]
    pub context: Json,
    pub last_activity_at: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A session to be made.
#[derive(Debug, Clone)]
pub struct NewSession {
    pub user_id: Uuid,
    pub channel_id: Option<Uuid>,
    /// 1 to 255 characters; not unique: a proxied call by name means the newest one.
    pub name: Option<String>,
}

/// What `update_session` may change; absent members stay as they are.
#[derive(Debug, Clone, Deserialize)]
pub struct SessionUpdate {
    pub id: Uuid,
    #[serde(default, deserialize_with = "nullable")]
    pub channel_id: Option<Option<Uuid>>,
    pub status: Option<SessionStatus>,
    pub metadata: Option<Json>,
    pub context: Option<Json>,
    pub last_activity_at: Option<Timestamp>,
}
