//! The states: docs/TRANSACTIONS.md prints what `next` does, and SQLite does it.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

#[path = "states/sequences.rs"]
mod sequences;
#[path = "states/tables.rs"]
mod tables;
