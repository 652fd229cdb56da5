use serde::Serialize;
use uuid::Uuid;

use super::json::Json;
use super::time::Timestamp;

/// One row of the append-only log: who changed what, when, by which rule and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Event {
    /// Its number; without gaps.
    pub seq: i64,
    pub at: Timestamp,
    /// `claimed`, `finished`, `verdict`, `boot`, … (docs/TRANSACTIONS.md lists them).
    pub kind: String,
    pub execution_id: Option<Uuid>,
    pub session_id: Option<Uuid>,
    pub attempt: Option<u32>,
    /// Who did it: `proxy`, `api`, `engine`, `operator`.
    pub actor: String,
    /// What else is known of it; digests stand for bodies.
    pub detail: Json,
    /// SHA-256 over this row and the hash before it, in hex.
    pub hash: String,
    /// The hash of the row before it, in hex; `None` where there is none, or it was pruned.
    pub previous: Option<String>,
}
