use serde::Serialize;
use uuid::Uuid;

use super::json::Json;
use super::time::Timestamp;

/// Whom executions, sessions and memories belong to; no key, result or record crosses users.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct User {
    pub id: Uuid,
    pub username: String,
    pub display_name: Option<String>,
    pub email: Option<String>,
    #[cfg_attr(feature = "typescript", ts(type = "JsonObject"))]
    pub metadata: Json,
    pub active: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A user to be made; `username` is unique.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub username: String,
    pub display_name: Option<String>,
    pub email: Option<String>,
}
