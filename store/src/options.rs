//! The options of [`crate::Store::open`].

use std::path::PathBuf;
use std::time::Duration;

/// [`Options::undelivered_for`], by default.
const UNDELIVERED_FOR: Duration = Duration::from_mins(10);

/// [`Options::wait_for_others`], by default.
const WAIT_FOR_OTHERS: Duration = Duration::from_mins(1);

/// The options of [`crate::Store::open`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The database file. A missing folder is created with mode 0700.
    pub path: PathBuf,
    /// How many jobs may wait for the writer before callers get [`store_core::Error::Busy`].
    pub max_queue: usize,
    /// Start a new database also if other files say that there was one.
    pub new_database: bool,
    /// Start also if records are missing that were on disk; the `boot` event says so.
    pub accept_loss: bool,
    /// A limit on the size of the database in pages, for tests of a full disk.
    pub max_page_count: Option<u64>,
    /// Disk space reserved for the outcomes of running calls when the disk is full, in bytes.
    pub reserve_bytes: u64,
    /// The size of the write-ahead log at which new calls are refused, in bytes.
    pub max_log: u64,
    /// How long an answer that did not arrive is remembered: an equal call in that time is its retry.
    pub undelivered_for: Duration,
    /// How long the start waits for another program that has the database open.
    pub wait_for_others: Duration,
}

impl Options {
    /// Returns the defaults for a database at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_queue: 8_192,
            new_database: false,
            accept_loss: false,
            max_page_count: None,
            reserve_bytes: 64 * 1024 * 1024,
            max_log: 1024 * 1024 * 1024,
            undelivered_for: UNDELIVERED_FOR,
            wait_for_others: WAIT_FOR_OTHERS,
        }
    }
}
