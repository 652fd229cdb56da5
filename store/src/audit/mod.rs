//! The append-only log, and whether it and the rest of the store agree.

pub(crate) mod events;
pub(crate) mod report;
pub(crate) mod verify;
