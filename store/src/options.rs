//! The options of [`crate::Store::open`].

use std::path::PathBuf;

/// The options of [`crate::Store::open`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The database file. A missing folder is created with mode 0700.
    pub path: PathBuf,
    /// How many jobs may wait for the writer before callers get [`store_core::Error::Busy`].
    pub max_queue: usize,
    /// A limit on the size of the database in pages, for tests of a full disk.
    pub max_page_count: Option<u64>,
    /// Disk space reserved for the outcomes of running calls when the disk is full, in bytes.
    pub reserve_bytes: u64,
}

impl Options {
    /// Returns the defaults for a database at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_queue: 8_192,
            max_page_count: None,
            reserve_bytes: 64 * 1024 * 1024,
        }
    }
}
