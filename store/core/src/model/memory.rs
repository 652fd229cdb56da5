use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::json::Json;
use super::time::Timestamp;
use super::words::{nullable, words};

words! {
    /// How long a memory is meant to last.
    MemoryType {
        /// For a while.
        ShortTerm = 0 "short_term",
        /// For good.
        LongTerm = 1 "long_term",
    }
}

words! {
    /// How much a memory matters.
    Importance {
        /// A little.
        Low = 0 "low",
        /// The default.
        Medium = 1 "medium",
        /// Much.
        High = 2 "high",
        /// Most of all.
        Critical = 3 "critical",
    }
}

/// A text that an agent keeps about its user.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Memory {
    /// Its id.
    pub id: Uuid,
    /// The user that it belongs to.
    pub user_id: Uuid,
    /// How long it is meant to last.
    pub memory_type: MemoryType,
    /// How much it matters.
    pub importance: Importance,
    /// The text.
    pub content: String,
    /// An array of numbers, as its text.
    #[cfg_attr(feature = "typescript", ts(type = "number[] | null"))]
    pub embedding: Option<Json>,
    /// The session that it comes from.
    pub source_session_id: Option<Uuid>,
    /// The execution that it comes from.
    pub source_tool_execution_id: Option<Uuid>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// After this the client no longer counts on it; the engine drops nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A memory to be created.
#[derive(Debug, Clone)]
pub struct NewMemory {
    /// The user.
    pub user_id: Uuid,
    /// The text.
    pub content: String,
    /// How much it matters; `None`: medium.
    pub importance: Option<Importance>,
    /// Words to find it by.
    pub tags: Vec<String>,
}

/// What `update_memory` may change; absent members stay as they are.
#[derive(Debug, Clone, Deserialize)]
pub struct MemoryUpdate {
    /// Which memory.
    pub id: Uuid,
    /// How long it is meant to last.
    pub memory_type: Option<MemoryType>,
    /// How much it matters.
    pub importance: Option<Importance>,
    /// The text.
    pub content: Option<String>,
    /// An array of numbers; null removes it.
    #[serde(default, deserialize_with = "nullable")]
    pub embedding: Option<Option<Json>>,
    /// The session that it comes from; null for none.
    #[serde(default, deserialize_with = "nullable")]
    pub source_session_id: Option<Option<Uuid>>,
    /// The execution that it comes from; null for none.
    #[serde(default, deserialize_with = "nullable")]
    pub source_tool_execution_id: Option<Option<Uuid>>,
    /// Replaces all tags.
    pub tags: Option<Vec<String>>,
    /// When it expires; null for never.
    #[serde(default, deserialize_with = "nullable")]
    pub expires_at: Option<Option<Timestamp>>,
}
