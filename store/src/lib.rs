//! The durable truth of openclaw-state-engine: one SQLite database, one process that owns it.
//!
//! - [`Store`] writes: one thread owns the only write connection and decides all claims; what has
//!   gathered while the last commit ran is one transaction, one fsync, then all answers. When a
//!   method returns `Ok`, what it says is on disk and survives a power cut.
//! - [`Reader`] reads, from connections of its own.
//! - [`state::next`] knows the transitions, [`key`] and [`canonical`] which two calls are the same.
//!
//! It knows no HTTP.

mod claim;
mod clock;
mod lease;
mod sqlite;
mod token;
mod verify;

use std::path::PathBuf;

use uuid::Uuid;

pub mod call {
    //! What a claimer asks for and gets.

    pub use store_core::call::*;

    pub use crate::claim::{Claim, Waiter};
}

pub use clock::{Clock, SystemClock};
pub use lease::Lease;
pub use sqlite::{Delivery, Health, Histogram, Reader, Repeat, Store};
pub use store_core::{
    DEFAULT_SESSION, DEFAULT_USER, Error, LEASE_DEFAULT, LEASE_MAX, LEASE_MIN, LockHolder,
    MAX_KEPT_BODY, MAX_NAME, PROXY_GOAL, canonical, decision, key, model, state,
};
pub use verify::{Finding, Report};

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

/// A new id: a version 7 UUID, so that newer ids sort behind older ones.
pub(crate) fn new_id() -> Uuid {
    Uuid::now_v7()
}
