//! The durable truth of openclaw-state-engine: one SQLite database, one process that owns it.
//!
//! - [`Store`] writes: one thread owns the only write connection and decides all claims; what has
//!   gathered while the last commit ran is one transaction, one fsync, then all answers. When a
//!   method returns `Ok`, what it says is on disk and survives a power cut.
//! - [`Reader`] reads, from connections of its own.
//! - [`state::next`] knows the transitions, [`key`] and [`canonical`] which two calls are the same.
//!
//! It knows no HTTP.

pub mod call;
pub mod canonical;
mod clock;
mod error;
pub mod key;
mod lease;
pub mod model;
mod sqlite;
pub mod state;
mod token;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

pub use clock::{Clock, SystemClock};
pub use error::{Error, LockHolder};
pub use lease::Lease;
pub use sqlite::{Delivery, Health, Histogram, Reader, Repeat, Store};
pub use verify::{Finding, Report};

/// The largest body of an answer that is kept, in bytes.
pub const MAX_KEPT_BODY: usize = 8 * 1024 * 1024;

/// The longest name or key, in characters.
pub const MAX_NAME: usize = 255;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The database file; its folder is made (0700) where it is missing.
    pub path: PathBuf,
    /// How many other jobs may wait for the writer before callers get [`Error::Busy`].
    pub max_queue: usize,
    /// A cap on the database's size in pages, for tests of a full disk.
    pub max_page_count: Option<u64>,
    /// How much disk space is kept back for finishing calls when the disk is full, in bytes.
    pub reserve_bytes: u64,
}

impl Options {
    /// The defaults for a database at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_queue: 8_192,
            max_page_count: None,
            reserve_bytes: 64 * 1024 * 1024,
        }
    }
}

/// The default time to live of an API lease, and its bounds.
pub const LEASE_DEFAULT: Duration = Duration::from_secs(60);
/// The shortest lease.
pub const LEASE_MIN: Duration = Duration::from_secs(1);
/// The longest lease.
pub const LEASE_MAX: Duration = Duration::from_secs(3_600);

/// The user and session of calls without scope.
pub const DEFAULT_USER: &str = "local";
/// See [`DEFAULT_USER`].
pub const DEFAULT_SESSION: &str = "default";
/// The goal that proxied calls of a session belong to unless they name another.
pub const PROXY_GOAL: &str = "HTTP tool calls";

/// A new id: a version 7 UUID, so that newer ids sort behind older ones.
pub(crate) fn new_id() -> Uuid {
    Uuid::now_v7()
}
