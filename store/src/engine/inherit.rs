//! Takes over the files that an earlier process left. What can be read of them is not always on disk: after a
//! failed fsync the kernel keeps the pages and calls them clean, so that a second fsync succeeds and writes
//! nothing. Only pages that are written again are synced.
//!
//! The log covers all of it. A checkpoint moves a page into the database and keeps the frame until the database
//! is synced. So the log is written again, byte by byte in its place, and synced, before anything acts on it.
//! From then on a power loss finds all that could be read. Then the log goes into the database, as far as the disk
//! has space.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use rustix::fs::FlockOperation;
use store_core::Error;

use crate::engine::checkpoint;
use crate::engine::holder;
use crate::engine::log_format;
use crate::engine::reserve::Reserve;
use crate::files;
use crate::sqlite::connection;
use crate::sqlite::error::{Severity, open_error, severity};

/// How much of the log is written again at once, in bytes.
const PIECE: usize = 1024 * 1024;
/// A disk with less than this is full, in bytes.
const LITTLE: u64 = 64 * 1024;
/// How long to wait before the next try while another program has the database open.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the files cannot be taken over now.
#[derive(Debug)]
enum Obstacle {
    /// Another program has the database open. What it reads keeps the log from being moved, and what it
    /// remembers of the log is what an earlier process said.
    Busy,
    /// There is no disk space.
    Full,
    /// The files cannot be read, written or synced.
    Failed(Error),
}

/// Opens the database for its writer, with all that can be read of it on disk.
///
/// While another program has the database open, tries again for `wait`. Gives up the reserve if the disk is
/// full. Refused with `Open` if neither helps (a log that is synced and cannot be moved is not a reason), or if a sync fails: then nothing has acted on the files.
pub(crate) fn open(path: &Path, reserve: &Reserve, wait: Duration) -> Result<Connection, Error> {
    if trusts_the_log() {
        let conn = connection::open_writer(path).map_err(|error| open_error(path, &error))?;
        let _ = checkpoint::all(&conn);
        return Ok(conn);
    }
    let until = Instant::now() + wait;
    let mut announced = false;
    loop {
        match take_over(path) {
            Ok(conn) => return Ok(conn),
            Err(Obstacle::Failed(error)) => return Err(error),
            Err(Obstacle::Full) if reserve.give_up() => {}
            Err(Obstacle::Full) => {
                let message = "the disk is full, and the log of an earlier process cannot be synced; free some space";
                return Err(refused(path, message.to_owned()));
            }
            Err(Obstacle::Busy) if Instant::now() >= until => {
                let who = holder::others(path);
                let message = format!("another program has the database open{who}; stop it");
                return Err(refused(path, message));
            }
            Err(Obstacle::Busy) => {
                if !announced {
                    tracing::warn!(
                        "another program has the database open{}: waiting up to {} s for it to close it",
                        holder::others(path),
                        wait.as_secs()
                    );
                    announced = true;
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// A build for crash tests can be made to act on whatever can be read, to show that the tests notice it.
#[cfg(feature = "failpoints")]
fn trusts_the_log() -> bool {
    std::env::var_os("STATE_ENGINE_TEST_TRUST_LOG").is_some()
}

#[cfg(not(feature = "failpoints"))]
const fn trusts_the_log() -> bool {
    false
}

/// The log may stay if there is no space to move it: it is synced. The reserve is not given up for that, since
/// it could be too small for it, and is needed for the calls that an earlier process left running.
fn take_over(path: &Path) -> Result<Connection, Obstacle> {
    write_log_again(path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Obstacle::Busy,
        _ if files::is_full(&error) => Obstacle::Full,
        _ => Obstacle::Failed(refused(
            path,
            format!("the log of an earlier process cannot be synced: {error}"),
        )),
    })?;
    let conn = connection::open_writer(path).map_err(|error| obstacle(path, &error))?;
    let moved = if checkpoint::log_fits(&conn) {
        checkpoint::all(&conn).map_err(|error| obstacle(path, &error))
    } else {
        Err(Obstacle::Full)
    };
    if let Err(Obstacle::Full) = moved {
        tracing::error!("the disk has no space to move the write-ahead log into the database");
        return Ok(conn);
    }
    if moved? && files::size(&files::log(path)) == 0 { Ok(conn) } else { Err(Obstacle::Busy) }
}

/// Writes the log again in its place, and syncs it. `WouldBlock`: another program has the database open.
///
/// The header comes first: frames of a new log behind the header of an older one could be read as parts of it.
fn write_log_again(path: &Path) -> io::Result<()> {
    let log = match OpenOptions::new().read(true).write(true).open(files::log(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        log => log?,
    };
    if log.metadata()?.len() == 0 || !path.exists() {
        return Ok(());
    }
    let Some(_alone) = lock_out_others(path)? else { return Err(io::ErrorKind::WouldBlock.into()) };
    let mut piece = vec![0; PIECE];
    copy(&log, &mut piece[..log_format::HEADER], 0)?;
    log.sync_all()?;
    let mut at = 0;
    loop {
        match copy(&log, &mut piece, at)? {
            0 => break,
            copied => at += copied as u64,
        }
    }
    log.sync_all()
}

/// Writes what is at `at` to where it is. Returns how much that was.
fn copy(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let read = file.read_at(buffer, at)?;
    file.write_all_at(&buffer[..read], at)?;
    Ok(read)
}

/// Locks the whole database against every other program, as long as the file is open. `None`: one of them has
/// it open (`SQLite` holds a read lock on it from its first read until it closes it).
///
/// Not to be called while this process has the database open by `SQLite`: closing the file would release the
/// locks of that too.
fn lock_out_others(path: &Path) -> io::Result<Option<File>> {
    use rustix::io::Errno;

    let file = OpenOptions::new().read(true).write(true).open(path)?;
    match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn obstacle(path: &Path, error: &rusqlite::Error) -> Obstacle {
    match severity(error) {
        Severity::Full => Obstacle::Full,
        Severity::Busy => Obstacle::Busy,
        // SQLite has more names than one for a disk without space.
        Severity::Fatal
            if error.sqlite_error_code() != Some(ErrorCode::NotADatabase) && is_full(path) =>
        {
            Obstacle::Full
        }
        Severity::Fatal | Severity::Statement => Obstacle::Failed(open_error(path, error)),
    }
}

/// Whether the file system has no space left for a page.
fn is_full(path: &Path) -> bool {
    files::free(path) < LITTLE
}

fn refused(path: &Path, message: String) -> Error {
    Error::Open {
        path: path.to_owned(),
        message: message + ", or name another file with --database",
    }
}
