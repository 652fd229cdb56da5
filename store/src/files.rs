//! The files beside a database, named after it.

use std::path::{Path, PathBuf};

/// The file whose lock belongs to the process that owns the database. The same through every link.
pub(crate) fn lock(database: &Path) -> PathBuf {
    let named = || database.to_owned();
    with_suffix(&std::fs::canonicalize(database).unwrap_or_else(|_| named()), ".lock")
}

/// The reserved disk space.
pub(crate) fn reserve(database: &Path) -> PathBuf {
    with_suffix(database, ".reserve")
}

/// SQLite's write-ahead log.
pub(crate) fn log(database: &Path) -> PathBuf {
    with_suffix(database, "-wal")
}

/// The size of a file in bytes; 0 if it does not exist.
pub(crate) fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Appends `suffix` to the whole name of the database.
fn with_suffix(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
