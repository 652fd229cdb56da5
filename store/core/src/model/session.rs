use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::json::Json;
use super::time::Timestamp;
use super::words::{nullable, words};

words! {
    /// Where a session is in its life; `active` and `paused` ones take proxied calls.
    SessionStatus {
        /// In use.
        Active = 0 "active",
        /// Not in use for now.
        Paused = 1 "paused",
        /// Ended well.
        Completed = 2 "completed",
        /// Ended badly.
        Failed = 3 "failed",
        /// Given up.
        Abandoned = 4 "abandoned",
    }
}

/// One run of work by an agent for a user, over restarts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Session {
    /// Its id.
    pub id: Uuid,
    /// The user that it belongs to.
    pub user_id: Uuid,
    /// The channel that it came in by.
    pub channel_id: Option<Uuid>,
    /// How far it is.
    pub status: SessionStatus,
    /// As stored, with the session's name (if it has one) shown as the member `name`.
    #[cfg_attr(feature = "typescript", ts(type = "JsonObject"))]
    pub metadata: Json,
    /// An object of the client's own.
    #[cfg_attr(feature = "typescript", ts(type = "JsonObject"))]
    pub context: Json,
    /// When it was last used.
    pub last_activity_at: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A session to be created.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The user.
    pub user_id: Uuid,
    /// The channel; it belongs to the user.
    pub channel_id: Option<Uuid>,
    /// 1 to 255 characters; not unique: a proxied call by name means the newest one.
    pub name: Option<String>,
}

/// What `update_session` may change; absent members stay as they are.
#[derive(Debug, Clone, Deserialize)]
pub struct SessionUpdate {
    /// Which session.
    pub id: Uuid,
    /// The channel that it came in by; null for none.
    #[serde(default, deserialize_with = "nullable")]
    pub channel_id: Option<Option<Uuid>>,
    /// How far it is.
    pub status: Option<SessionStatus>,
    /// Replaces all of the metadata.
    pub metadata: Option<Json>,
    /// Replaces all of the context.
    pub context: Option<Json>,
    /// When it was last used.
    pub last_activity_at: Option<Timestamp>,
}
