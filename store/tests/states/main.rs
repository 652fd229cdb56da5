//! The states of an execution: docs/TRANSACTIONS.md prints what `next` does, and SQLite does the same.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

#[path = "../support/mod.rs"]
mod support;

mod sequences;
mod tables;
