//! The files beside a database, named after it.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
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

/// The folder that a file is in.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Syncs the entries of a folder. Some file systems cannot, and say so by EINVAL (`PostgreSQL`'s `fsync_fname`
/// ignores that too).
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
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

/// The other processes that hold a lock on the file, as far as the system says: ` (process 12)`, or nothing.
pub(crate) fn holders(path: &Path) -> String {
    let (Ok(file), Ok(locks)) = (path.metadata(), std::fs::read_to_string("/proc/locks")) else {
        return String::new();
    };
    let inode = format!(":{}", file.ino());
    let own = std::process::id().to_string();
    // `1: POSIX ADVISORY READ 4242 fe:00:131 0 EOF`: process, device and inode.
    let mut pids: Vec<_> = locks
        .lines()
        .map(|line| line.split_whitespace().skip_while(|word| *word != "POSIX").collect::<Vec<_>>())
        .filter(|words| words.get(4).is_some_and(|place| place.ends_with(&inode)))
        .filter_map(|words| words.get(3).copied().filter(|pid| *pid != own))
        .collect();
    pids.sort_unstable();
    pids.dedup();
    match pids.as_slice() {
        [] => String::new(),
        [pid] => format!(" (process {pid})"),
        pids => format!(" (processes {})", pids.join(", ")),
    }
}

/// Appends `suffix` to the whole name of the database.
fn with_suffix(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
