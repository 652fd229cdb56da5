//! One process owns a database, by whatever name. The kernel releases its locks when it ends, however it ends.

use std::fs::{File, TryLockError};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use store_core::{Error, LockHolder};

use crate::engine::holder;
use crate::files::file_system::unsafe_file_system;
use crate::files::{self, Identity, private};
use crate::mutex::lock;

/// The locks, held until [`Self::release`].
///
/// Ownership rests on the lock of the database file itself, which all its names share. The lock file says where
/// the owner is, and keeps out earlier versions, which lock only that.
#[derive(Debug)]
pub(crate) struct DatabaseLock {
    /// The path of the database, without links.
    path: PathBuf,
    /// Closed after the last connection of SQLite: closing any descriptor of a file drops all POSIX locks of
    /// the process on it (fcntl(2)), and SQLite relies on those. So connections hold this too.
    database: Arc<File>,
    identity: Identity,
    announcement: Mutex<Announcement>,
}

#[derive(Debug)]
struct Announcement {
    file: File,
    api: String,
}

/// The lock of the lock file, before the database is known to be what it was.
pub(crate) struct Claimed {
    announcement: File,
    /// An engine has served this database: its lock file says where.
    pub(crate) was_served: bool,
}

impl Claimed {
    /// Locks the lock file. `Locked` says who holds it.
    pub(crate) fn take(database: &Path) -> Result<Self, Error> {
        let path = files::lock(database);
        let failed = |error: io::Error| Error::Open {
            path: path.clone(),
            message: format!(
                "cannot use the lock file: {error}; name another file with --database"
            ),
        };
        let announcement = private::open(&path).map_err(failed)?;
        match announcement.try_lock() {
            Ok(()) => {
                let was_served = !holder::read(&announcement).api.is_empty();
                Ok(Self { announcement, was_served })
            }
            Err(TryLockError::WouldBlock) => {
                Err(Error::Locked { holder: holder::read(&announcement) })
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Locks the database file itself; creates it, durably, if it is missing. `path` has no links.
    pub(crate) fn lock_database(self, path: &Path) -> Result<DatabaseLock, Error> {
        let failed = |error: io::Error| Error::Open {
            path: path.to_owned(),
            message: format!(
                "cannot open the database: {error}; name another file with --database"
            ),
        };
        let is_new = !path.exists();
        let database = private::open_unchanged(path).map_err(failed)?;
        if is_new {
            // No log, reserve or head is ever on disk without the database that it belongs to.
            files::sync_folder(path).map_err(failed)?;
        }
        // There, flock is a lock of fcntl, which would be in SQLite's way (flock(2), "NFS details").
        if unsafe_file_system(path).is_none() {
            match database.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let holder = holder::by_inode(path).map(|owner| owner.holder);
                    return Err(Error::Locked { holder: holder.unwrap_or_default() });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        let identity = Identity::of(&database.metadata().map_err(failed)?);
        let announcement = Mutex::new(Announcement { file: self.announcement, api: String::new() });
        let held = DatabaseLock {
            path: path.to_owned(),
            database: Arc::new(database),
            identity,
            announcement,
        };
        held.announce("").map_err(failed)?;
        Ok(held)
    }
}

impl DatabaseLock {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the database away from everybody except its owner.
    pub(crate) fn make_private(&self) -> io::Result<()> {
        private::tighten_at(&self.path)
    }

    /// To be held by all that have connections to the database.
    pub(crate) fn descriptor(&self) -> Arc<File> {
        Arc::clone(&self.database)
    }

    /// Gives up both locks; the descriptors live on in connections. An error leaves them to the end of the
    /// process.
    pub(crate) fn release(&self) {
        let _ = self.database.unlock();
        let _ = lock(&self.announcement).file.unlock();
    }

    /// Which file is locked.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Writes where the API listens into the lock file.
    pub(crate) fn announce(&self, api: &str) -> io::Result<()> {
        let mut announcement = lock(&self.announcement);
        api.clone_into(&mut announcement.api);
        announcement.write()
    }

    /// Whether the lock file is still this process's. Writes and locks it again if it is missing, or if nobody
    /// has locked the one that is there: a start that was refused leaves one behind.
    pub(crate) fn keep_announced(&self) -> io::Result<bool> {
        let path = files::lock(&self.path);
        let mut announcement = lock(&self.announcement);
        let own = Identity::of(&announcement.file.metadata()?);
        if Identity::at(&path).is_ok_and(|found| found == own) {
            return Ok(true);
        }
        let file = private::open(&path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(false),
            locked => locked?,
        }
        announcement.file = file;
        announcement.write()?;
        Ok(true)
    }
}

impl Announcement {
    fn write(&mut self) -> io::Result<()> {
        let holder = LockHolder {
            pid: std::process::id(),
            api: self.api.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let text = serde_json::to_string(&holder).map_err(io::Error::other)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        // Not before: on a full disk there might be no space for it again.
        self.file.set_len(text.len() as u64)
    }
}
