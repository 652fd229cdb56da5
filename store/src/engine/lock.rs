//! One process owns a database. The kernel releases its lock when it ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use store_core::{Error, LockHolder};

use crate::files;
use crate::mutex::lock;

/// The lock, held until it is dropped.
#[derive(Debug)]
pub(crate) struct DatabaseLock(Mutex<File>);

impl DatabaseLock {
    /// Takes the lock. `Locked` says who holds it.
    pub(crate) fn take(database: &Path) -> Result<Self, Error> {
        let path = files::lock(database);
        let failed = |error: std::io::Error| Error::Open {
            path: path.clone(),
            message: format!(
                "cannot use the lock file: {error}; name another file with --database"
            ),
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                let held = Self(Mutex::new(file));
                held.announce("").map_err(failed)?;
                Ok(held)
            }
            Err(TryLockError::WouldBlock) => Err(Error::Locked { holder: read(&file) }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Writes where the API listens into the lock file.
    pub(crate) fn announce(&self, api: &str) -> std::io::Result<()> {
        let holder = LockHolder {
            pid: std::process::id(),
            api: api.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let text = serde_json::to_string(&holder).map_err(std::io::Error::other)?;
        let mut file = lock(&self.0);
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        // Not before: on a full disk there might be no space for it again.
        file.set_len(text.len() as u64)
    }
}

/// The process that owns the database; `None` if there is none.
pub(crate) fn holder(database: &Path) -> Option<LockHolder> {
    let file = File::open(files::lock(database)).ok()?;
    match file.try_lock_shared() {
        Ok(()) => None,
        Err(_) => Some(read(&file)),
    }
}

fn read(mut file: &File) -> LockHolder {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) => serde_json::from_str(&text).unwrap_or_default(),
        Err(_) => LockHolder::default(),
    }
}
