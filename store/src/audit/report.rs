//! Checks the event chain and the invariants between events and entities.

use serde::Serialize;

/// What a walk over the store found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `seq:hash` of the newest event.
    pub head: String,
    /// How many events were checked.
    pub events: u64,
    /// How many executions were checked.
    pub executions: u64,
    /// What is wrong; empty when all is well.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The table.
    pub table: &'static str,
    /// The row's number in it.
    pub row: i64,
    /// What is wrong with it.
    pub message: String,
}
