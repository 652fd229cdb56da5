use std::collections::BTreeMap;

use serde::Serialize;

/// Counts over the whole store. Each is read at its own moment.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Stats {
    /// How many users there are.
    pub users: u64,
    /// Sessions by status.
    pub sessions: BTreeMap<String, u64>,
    /// How many goals there are.
    pub goals: u64,
    /// By status.
    pub executions: BTreeMap<String, u64>,
    /// Stopped duplicates, as far as they are written.
    pub duplicates: u64,
    /// How many memories there are.
    pub memories: u64,
    /// How many channels there are.
    pub channels: u64,
    /// The number of the newest event.
    pub events: u64,
    /// Calls by decision since this process started (`executed`, `replayed`, …).
    pub decisions: BTreeMap<String, u64>,
    /// Size of the database file.
    pub database_bytes: u64,
    /// Size of SQLite's write-ahead log.
    pub wal_bytes: u64,
}
