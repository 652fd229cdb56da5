//! Whether the files under a running engine are still its own, and whole.
//!
//! SQLite keeps its files open. If they are deleted, replaced or truncated, it goes on as before, and what it
//! then acknowledges is gone with the process.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;

use crate::engine::lock::DatabaseLock;
use crate::engine::log_format::{self, Salts};
use crate::files::{self, Identity, private};
use crate::mutex::lock;
use crate::sqlite::queries;

/// Where the header of the database has its size in pages.
const PAGES_IN_HEADER: u64 = 28;

/// Watches the database, its log and the index of the log.
#[derive(Debug)]
pub(crate) struct Watch {
    owner: Arc<DatabaseLock>,
    page_size: u64,
    log: File,
    log_path: PathBuf,
    log_identity: Identity,
    index_path: PathBuf,
    index_identity: Identity,
    seen: Mutex<Seen>,
}

/// What the last check found.
#[derive(Debug, Default)]
struct Seen {
    /// In bytes. The engine itself never shrinks a database.
    database_size: u64,
    /// How many frames the log has at least.
    frames: u64,
    salts: Salts,
    linked: bool,
    foreign_lock_file: bool,
}

impl Watch {
    /// To be called when SQLite has its files open, and the log is not empty.
    pub(crate) fn new(owner: Arc<DatabaseLock>, page_size: u64) -> io::Result<Self> {
        let (log_path, index_path) = (files::log(owner.path()), files::index(owner.path()));
        let log = private::read(&log_path)?;
        Ok(Self {
            page_size,
            log_identity: Identity::of(&log.metadata()?),
            log,
            log_path,
            index_identity: Identity::at(&index_path)?,
            index_path,
            seen: Mutex::default(),
            owner,
        })
    }

    /// Checks all before a transaction of `conn`. `frames`: how many the log has since its last commit.
    pub(crate) fn check(&self, conn: &Connection, frames: u64) -> Result<(), String> {
        self.check_identities()?;
        let mut seen = lock(&self.seen);
        let before = seen.salts;
        let checked = self.check_log(&mut seen, frames);
        // With the salts of before it is the same log, and a hole in it stays one however far it grows.
        if checked.is_ok() || self.has_salts(before) {
            return checked;
        }
        // Another program may have moved the whole log into the database and emptied it: SQLite knows.
        let indexed = conn.query_row(queries::CHECKPOINT_NOOP, [], |row| row.get::<_, i64>(1));
        seen.salts = Salts::default();
        self.check_log(&mut seen, u64::try_from(indexed.unwrap_or(-1)).unwrap_or(frames))
    }

    /// Checks all before a checkpoint, by what the last [`Self::check`] found.
    pub(crate) fn check_again(&self) -> Result<(), String> {
        self.check_identities()?;
        let mut seen = lock(&self.seen);
        let frames = seen.frames;
        self.check_log(&mut seen, frames)
    }

    fn check_identities(&self) -> Result<(), String> {
        let (path, mut seen) = (self.owner.path(), lock(&self.seen));
        let database = is_own(path, self.owner.identity())?;
        if database.len() < seen.database_size && !self.was_vacuumed(database.len()) {
            return Err(format!("{} was truncated", path.display()));
        }
        seen.database_size = database.len();
        if (database.nlink() > 1) != seen.linked {
            seen.linked = !seen.linked;
            if seen.linked {
                tracing::warn!(
                    database = %path.display(),
                    "the database has a second name now (a hard link). Under that name it is not whole, and no start is possible while it exists"
                );
            }
        }
        is_own(&self.log_path, self.log_identity)?;
        is_own(&self.index_path, self.index_identity)?;
        Ok(())
    }

    /// Another program may have shrunk the database. Its header has its size in pages then
    /// (<https://www.sqlite.org/fileformat2.html#in_header_database_size>).
    fn was_vacuumed(&self, bytes: u64) -> bool {
        let mut pages = [0; 4];
        let read = self.owner.descriptor().read_exact_at(&mut pages, PAGES_IN_HEADER);
        let pages = u64::from(u32::from_be_bytes(pages));
        read.is_ok() && pages > 0 && bytes >= pages * self.page_size
    }

    /// A log that was cut can grow again past the cut, with a hole: so the last frame of the check before is
    /// looked at, too.
    fn check_log(&self, seen: &mut Seen, frames: u64) -> Result<(), String> {
        let truncated = |_: io::Error| format!("{} was truncated", self.log_path.display());
        if frames == 0 {
            (seen.frames, seen.salts) = (0, Salts::default());
            return Ok(());
        }
        let mut header = [0; log_format::HEADER];
        self.log.read_exact_at(&mut header, 0).map_err(truncated)?;
        let salts = log_format::salts(&header);
        let known = if salts == seen.salts { seen.frames.min(frames) } else { 0 };
        if known > 0 {
            let mut header = [0; log_format::FRAME_HEADER];
            self.log.read_exact_at(&mut header, self.end_of(known - 1)).map_err(truncated)?;
            if log_format::frame_salts(&header) != salts {
                return Err(truncated(io::ErrorKind::InvalidData.into()));
            }
        }
        let size = self.log.metadata().map_err(truncated)?.len();
        if size < self.end_of(frames) || salts == Salts::default() {
            return Err(truncated(io::ErrorKind::UnexpectedEof.into()));
        }
        (seen.frames, seen.salts) = (frames, salts);
        Ok(())
    }

    fn has_salts(&self, known: Salts) -> bool {
        let mut header = [0; log_format::HEADER];
        let read = self.log.read_exact_at(&mut header, 0);
        read.is_ok() && known != Salts::default() && log_format::salts(&header) == known
    }

    /// Where a frame ends in the log, and the next begins.
    fn end_of(&self, frames: u64) -> u64 {
        log_format::HEADER as u64 + frames * (log_format::FRAME_HEADER as u64 + self.page_size)
    }

    /// Writes the lock file again if it is missing, and says once if it is another's.
    pub(crate) fn keep_lock_file(&self) {
        let kept = self.owner.keep_announced();
        let foreign = matches!(kept, Ok(false));
        let mut seen = lock(&self.seen);
        if foreign && !seen.foreign_lock_file {
            tracing::error!(
                path = %files::lock(self.owner.path()).display(),
                "the lock file was replaced: other commands may not find this engine"
            );
        }
        seen.foreign_lock_file = foreign;
        if let Err(error) = kept {
            tracing::warn!(%error, "cannot write the lock file again");
        }
    }
}

/// The file at `path`, if it is still the one that is open.
fn is_own(path: &Path, own: Identity) -> Result<Metadata, String> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if Identity::of(&found) == own => Ok(found),
        Ok(_) => Err(format!("{} was replaced", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("{} was deleted", path.display()))
        }
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}
