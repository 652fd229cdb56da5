//! How a store is opened.

use std::path::PathBuf;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The database file; its folder is made (0700) where it is missing.
    pub path: PathBuf,
    /// How many other jobs may wait for the writer before callers get [`store_core::Error::Busy`].
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
