use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::json::Json;
use super::time::Timestamp;
use super::words::{nullable, words};

words! {
    /// How long a memory is meant to last.
    MemoryType {
        ShortTerm = 0 "short_term",
        LongTerm = 1 "long_term",
    }
}

words! {
    /// How much a memory matters.
    Importance {
        Low = 0 "low",
        Medium = 1 "medium",
        High = 2 "high",
        Critical = 3 "critical",
    }
}

/// A text that an agent keeps about its user.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Memory {
    pub id: Uuid,
    pub user_id: Uuid,
    pub memory_type: MemoryType,
    pub importance: Importance,
    pub content: String,
    /// An array of numbers, as its text.
    #[cfg_attr(feature = "typescript", ts(type = "number[] | null"))]
    pub embedding: Option<Json>,
    pub source_session_id: Option<Uuid>,
    pub source_tool_execution_id: Option<Uuid>,
    pub tags: Vec<String>,
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A memory to be made.
#[derive(Debug, Clone)]
pub struct NewMemory {
    pub user_id: Uuid,
    pub content: String,
    pub importance: Option<Importance>,
    pub tags: Vec<String>,
}

/// What `update_memory` may change; absent members stay as they are.
#[derive(Debug, Clone, Deserialize)]
pub struct MemoryUpdate {
    pub id: Uuid,
    pub memory_type: Option<MemoryType>,
    pub importance: Option<Importance>,
    pub content: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub embedding: Option<Option<Json>>,
    #[serde(default, deserialize_with = "nullable")]
    pub source_session_id: Option<Option<Uuid>>,
    #[serde(default, deserialize_with = "nullable")]
    pub source_tool_execution_id: Option<Option<Uuid>>,
    pub tags: Option<Vec<String>>,
    #[serde(default, deserialize_with = "nullable")]
    pub expires_at: Option<Option<Timestamp>>,
}
