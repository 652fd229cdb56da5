//! The states: docs/TRANSACTIONS.md prints what `next` does, and SQLite does it.

mod support;

#[path = "states/sequences.rs"]
mod sequences;
#[path = "states/tables.rs"]
mod tables;
