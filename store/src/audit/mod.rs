//! The append-only event log, and its verification.

pub(crate) mod events;
pub(crate) mod report;
pub(crate) mod verify;
