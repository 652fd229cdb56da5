//! Where a database's files are: beside it, under its name.

use std::path::{Path, PathBuf};

/// The file whose lock says which process owns the database, by whichever link that is named.
pub(crate) fn lock(database: &Path) -> PathBuf {
    let named = || database.to_owned();
    with_suffix(&std::fs::canonicalize(database).unwrap_or_else(|_| named()), ".lock")
}

/// The disk space that is kept back.
pub(crate) fn reserve(database: &Path) -> PathBuf {
    with_suffix(database, ".reserve")
}

/// SQLite's write-ahead log.
pub(crate) fn log(database: &Path) -> PathBuf {
    with_suffix(database, "-wal")
}

/// The size of a file in bytes; 0 where it is not there.
pub(crate) fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// The database's path with `suffix` behind its whole name.
fn with_suffix(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
