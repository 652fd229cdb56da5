use std::collections::BTreeMap;

use serde::Serialize;

/// Counts over the whole store, each taken at one moment of its own.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Stats {
    pub users: u64,
    pub sessions: BTreeMap<String, u64>,
    pub goals: u64,
    /// By status.
    pub executions: BTreeMap<String, u64>,
    /// Duplicates that were stopped, as far as they are written.
    pub duplicates: u64,
    pub memories: u64,
    pub channels: u64,
    pub events: u64,
    /// Calls by decision since this process started (`executed`, `replayed`, …).
    pub decisions: BTreeMap<String, u64>,
    pub database_bytes: u64,
    pub wal_bytes: u64,
}
