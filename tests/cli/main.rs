//! The command line through the real binary: its verbs, its examples, and `doctor`.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod doctor;
mod examples;
mod verbs;
