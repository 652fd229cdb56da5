//! What a kill, a panic or a failing disk leaves behind.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod fsync;
mod full_disk;
mod kills;
mod panic;
mod power_loss;
mod start;
