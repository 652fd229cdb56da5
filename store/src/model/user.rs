use serde::Serialize;
use uuid::Uuid;

use super::{Json, Timestamp};

/// Whom executions, sessions and memories belong to; no key, result or record crosses users.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct User {
    pub id: Uuid,
    pub username: String,
    pub display_name: Option<String>,
    pub email: Option<String>,
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
