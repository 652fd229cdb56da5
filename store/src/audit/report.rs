//! The result of a verification.

use serde::Serialize;

/// The result of [`crate::Reader::verify`].
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `seq:hash` of the newest event.
    pub head: String,
    /// How many events were checked.
    pub events: u64,
    /// How many executions were checked.
    pub executions: u64,
    /// What is wrong; empty if nothing is.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The table.
    pub table: &'static str,
    /// The row number.
    pub row: i64,
    /// What is wrong with it.
    pub message: String,
}
