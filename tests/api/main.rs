//! The state API as its clients see it: the real binary, a raw socket, golden transcripts.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod envelope;
mod fidelity;
mod listener;
mod methods;
mod observed;
mod once;
mod schema;
mod transcript;
