//! The durable truth of openclaw-state-engine: one SQLite database, one process that owns it.
//!
//! - [`Store`] writes: one thread owns the only write connection and decides all claims; what has
//!   gathered while the last commit ran is one transaction, one fsync, then all answers. When a
//!   method returns `Ok`, what it says is on disk and survives a power cut.
//! - [`Reader`] reads, from connections of its own.
//! - [`state::next`] knows the transitions, [`key`] and [`canonical`] which two calls are the same.
//!
//! It knows no HTTP.

mod audit;
pub mod call;
mod clock;
mod decide;
mod engine;
mod files;
mod lease;
mod mutex;
mod options;
mod read;
mod sqlite;
mod store;
mod token;

pub use audit::report::{Finding, Report};
pub use clock::{Clock, SystemClock};
pub use engine::status::Histogram;
pub use lease::Lease;
pub use options::Options;
pub use read::reader::Reader;
pub use read::stats::Health;
pub use store::Store;
pub use store::repeats::{Delivery, Repeat};
pub use store_core::{
    DEFAULT_SESSION, DEFAULT_USER, Error, LEASE_DEFAULT, LEASE_MAX, LEASE_MIN, LockHolder,
    MAX_KEPT_BODY, MAX_NAME, PROXY_GOAL, canonical, key, model, state,
};
