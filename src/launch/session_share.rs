//! The runs of one session, across processes: its last run completes it.
//!
//! Each holds a shared lock on a file of the session beside the database, for as long as it lives.
//! The kernel frees the lock however a process ends, so one that can lock the file alone is the last.
//! The file has a mark for each run that started and each that succeeded, so that a run that failed,
//! or was killed, keeps the session open.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::retry_on_intr;
use store::key::Encoder;

/// A run started.
const STARTED: u8 = b'+';
/// A run ended with status 0.
const SUCCEEDED: u8 = b'-';

/// A file that nobody has locked or written for so long is of processes that were killed.
const STALE: Duration = Duration::from_hours(1);

/// One process's share of a session.
#[derive(Debug)]
pub(crate) struct SessionShare {
    file: File,
    path: PathBuf,
}

impl SessionShare {
    /// Takes part in the session that `name` names, of which the success counts. Waits while
    /// the last run of before completes the session.
    pub(crate) fn run(database: &Path, name: &str) -> io::Result<Self> {
        let mut share = Self::attend(database, name)?;
        share.file.write_all(&[STARTED])?;
        Ok(share)
    }

    /// Takes part in the session without being able to succeed: keeps others from completing it.
    pub(crate) fn attend(database: &Path, name: &str) -> io::Result<Self> {
        let folder = folder(database)?;
        remove_stale(&folder);
        let name = Encoder::new("session-share/v1").field(name).finish().hex(16);
        let path = folder.join(name);
        loop {
            let share = Self { file: open(&path, true)?, path: path.clone() };
            if flock(&share.file, FlockOperation::NonBlockingLockExclusive).is_ok()
                && share.is_current()
            {
                // Nobody else: the marks are of runs that were killed.
                share.file.set_len(0)?;
            }
            retry_on_intr(|| flock(&share.file, FlockOperation::LockShared))?;
            if share.is_current() {
                return Ok(share);
            }
        }
    }

    /// Notes that the program succeeded.
    pub(crate) fn succeeded(&mut self) {
        // Without the mark the session stays open, which is safe.
        let _ = self.file.write_all(&[SUCCEEDED]);
    }

    /// Leaves the session. The last to leave calls `complete` if there was a run and all succeeded;
    /// who wants to take part waits until it is done.
    pub(crate) fn leave(mut self, complete: impl FnOnce()) {
        if flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return;
        }
        if self.all_succeeded().unwrap_or(false) {
            complete();
        }
        let _ = fs::remove_file(&self.path);
    }

    fn all_succeeded(&mut self) -> io::Result<bool> {
        let mut marks = Vec::new();
        self.file.rewind()?;
        self.file.read_to_end(&mut marks)?;
        let count = |mark| marks.iter().map(|one| usize::from(*one == mark)).sum::<usize>();
        Ok(count(STARTED) > 0 && count(STARTED) == count(SUCCEEDED))
    }

    /// Whether the file is still the one that others open.
    fn is_current(&self) -> bool {
        let inode = |found: io::Result<fs::Metadata>| found.map(|found| (found.dev(), found.ino()));
        matches!(
            (inode(self.file.metadata()), inode(fs::symlink_metadata(&self.path))),
            (Ok(ours), Ok(named)) if ours == named
        )
    }
}

/// The folder beside the database, whatever name the database was opened by.
fn folder(database: &Path) -> io::Result<PathBuf> {
    let mut path = fs::canonicalize(database)?.into_os_string();
    path.push(".sessions");
    let path = PathBuf::from(path);
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(path),
    }
}

/// Opens the file of a session, and follows no link.
fn open(path: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(create).mode(0o600);
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options.open(path)
}

/// Removes what killed processes left behind.
fn remove_stale(folder: &Path) {
    let Ok(files) = fs::read_dir(folder) else { return };
    for path in files.flatten().map(|entry| entry.path()) {
        let Ok(file) = open(&path, false) else { continue };
        let age = file.metadata().and_then(|found| found.modified()).map(|time| time.elapsed());
        let is_old = age.is_ok_and(|age| age.is_ok_and(|age| age > STALE));
        if is_old && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Leaves, and says whether the session was completed.
    fn left(mut share: SessionShare, succeeded: bool) -> bool {
        if succeeded {
            share.succeeded();
        }
        let mut completed = false;
        share.leave(|| completed = true);
        completed
    }

    #[test]
    fn the_last_to_leave_completes_if_all_succeeded() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        fs::write(&database, "").unwrap();
        let run = || SessionShare::run(&database, "nightly").unwrap();
        let attend = || SessionShare::attend(&database, "nightly").unwrap();

        assert!(left(run(), true) && !left(run(), false) && !left(attend(), false));
        for (first, second, completed) in
            [(true, true, true), (true, false, false), (false, true, false), (false, false, false)]
        {
            let (one, other) = (run(), run());
            assert!(!left(one, first), "another run is left");
            assert_eq!(left(other, second), completed, "{first} {second}");
        }
        let (server, one) = (attend(), run());
        assert!(!left(one, true) && left(server, false), "a server of MCP may be the last");
        let (other, one) = (SessionShare::run(&database, "other").unwrap(), run());
        assert!(left(one, true), "another session is another matter");
        assert!(left(other, true));

        // As a kill leaves it: the lock is gone, and the mark stays.
        let (killed, one) = (run(), run());
        drop(killed);
        assert!(!left(one, true) && left(run(), true));
        drop(run());
        assert!(left(run(), true), "the next one alone starts again");
        assert_eq!(fs::read_dir(folder.path().join("a.db.sessions")).unwrap().count(), 0);
    }

    #[test]
    fn one_database_has_one_folder_whatever_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let (database, link) = (folder.path().join("a.db"), folder.path().join("b.db"));
        fs::write(&database, "").unwrap();
        std::os::unix::fs::symlink(&database, &link).unwrap();
        let one = SessionShare::run(&database, "s").unwrap();
        let other = SessionShare::run(&link, "s").unwrap();
        assert!(!left(one, true) && left(other, true));
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        fs::write(&database, "").unwrap();
        let share = SessionShare::run(&database, "s").unwrap();
        let path = share.path.clone();
        drop(share);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&database, &path).unwrap();
        SessionShare::run(&database, "s").unwrap_err();
        assert_eq!(fs::read(&database).unwrap(), b"");
    }
}
