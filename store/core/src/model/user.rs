use serde::Serialize;
use uuid::Uuid;

use super::json::Json;
use super::time::Timestamp;

/// The owner of executions, sessions and memories. No key, result or record is shared between users.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct User {
    /// Its id.
    pub id: Uuid,
    /// The name; no two users have the same.
    pub username: String,
    /// The name to show.
    pub display_name: Option<String>,
    /// The address of the user.
    pub email: Option<String>,
    /// An object of the client's own.
    #[cfg_attr(feature = "typescript", ts(type = "JsonObject"))]
    pub metadata: Json,
    /// True; the engine does not change it.
    pub active: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A user to be created; `username` is unique.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// 1 to 255 characters.
    pub username: String,
    /// The name to show.
    pub display_name: Option<String>,
    /// The address of the user.
    pub email: Option<String>,
}
