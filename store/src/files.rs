//! The files of a database, named after the path that all links lead to.

pub(crate) mod file_system;
pub mod private;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf, absolute};

/// As many links as Linux follows (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// The absolute path without links, also of a file that does not exist yet: a link may dangle.
pub fn real(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    let mut path = absolute(path).unwrap_or_else(|_| path.to_owned());
    for _ in 0..MAX_LINKS {
        let Ok(target) = fs::read_link(&path) else { break };
        path = folder(&path).join(target);
    }
    match (fs::canonicalize(folder(&path)), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path,
    }
}

/// The folder of a file.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// The file that says who owns the database, and where its API listens.
pub(crate) fn lock(database: &Path) -> PathBuf {
    with_suffix(database, ".lock")
}

/// The reserved disk space.
pub(crate) fn reserve(database: &Path) -> PathBuf {
    with_suffix(database, ".reserve")
}

/// The newest event that is known to be on disk.
pub(crate) fn head(database: &Path) -> PathBuf {
    with_suffix(database, ".head")
}

/// SQLite's write-ahead log.
pub(crate) fn log(database: &Path) -> PathBuf {
    with_suffix(database, "-wal")
}

/// SQLite's rollback journal, which it uses only until the database has a log.
pub(crate) fn journal(database: &Path) -> PathBuf {
    with_suffix(database, "-journal")
}

/// SQLite's index of the log, which its connections share.
pub(crate) fn index(database: &Path) -> PathBuf {
    with_suffix(database, "-shm")
}

/// The size of a file in bytes; 0 if it does not exist.
pub(crate) fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Creates the folder of a file, with mode 0700, if it is missing.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder(path))
}

/// Puts the entries of a file's folder on disk. Some file systems cannot, and say so by EINVAL
/// (`PostgreSQL`'s `fsync_fname` ignores that too).
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match fs::File::open(folder(path))?.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(crate) fn of(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// The file at a path now; links are not followed.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        fs::symlink_metadata(path).map(|metadata| Self::of(&metadata))
    }
}

/// How much is free on the disk that a file is on, in bytes.
pub(crate) fn free(path: &Path) -> u64 {
    rustix::fs::statvfs(folder(path))
        .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Whether the error says that there is no disk space, or not for this user.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Appends `suffix` to the whole name of the database.
fn with_suffix(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
