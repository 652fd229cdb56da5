//! A running engine: the starts that it refuses, its bounds, its metrics and its clock.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod clock;
mod leases;
mod lost;
mod memory;
mod metrics;
mod owner;
mod refusals;
mod untaken;
mod upgrade;
