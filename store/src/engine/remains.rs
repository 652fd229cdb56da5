//! What was left of a database: a start that would forget records that were on disk is refused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};
use store_core::Error;
use store_core::key::Digest;

use crate::audit::events::Head;
use crate::engine::cut;
use crate::engine::head_file::{HeadFile, Known};
use crate::files;
use crate::sqlite::{connection, meta, queries};

/// Refuses to create a database where the files beside it say that there was one. `was_served`: the lock file
/// says so. With `new_database` it removes the log and the head of the old one.
pub(crate) fn check_new(path: &Path, was_served: bool, new_database: bool) -> Result<(), Error> {
    if files::size(path) > 0 {
        return Ok(());
    }
    let lock = was_served.then(|| files::lock(path));
    let others = [files::log(path), files::reserve(path), files::head(path)];
    let found: Vec<PathBuf> =
        others.into_iter().filter(|path| files::size(path) > 0).chain(lock).collect();
    if found.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = found.iter().map(|path| path.display().to_string()).collect();
    let shown = shown.join(", ");
    if !new_database {
        let state = if path.exists() { "empty" } else { "missing" };
        return Err(Error::Open {
            path: path.to_owned(),
            message: format!(
                "the database is {state}, but there was one: {shown}. Its records say which calls ran. Put it \
                 back, or start `serve` once with --new-database: then calls that ran before may run again"
            ),
        });
    }
    tracing::warn!(found = %shown, "a new database is created where there was one");
    for path in [files::log(path), files::index(path), files::head(path)] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::Open { path, message: format!("cannot remove it: {error}") });
            }
            _ => {}
        }
    }
    Ok(())
}

/// How often the head is read again if it changed meanwhile. It may also be read while it is written.
const TRIES: usize = 100;

/// The event that was on disk and is missing in the database at `path`, or `None`. An event of number 0 means:
/// of unknown number.
///
/// Reads the log too, and changes neither. An engine may be running.
pub(crate) fn missing(path: &Path) -> Result<Option<Known>, Error> {
    let mut before = None;
    for _ in 0..TRIES {
        let missing = missing_now(path)?;
        if missing.is_none() || missing == before {
            return Ok(missing);
        }
        before = missing;
    }
    Ok(None)
}

fn missing_now(path: &Path) -> Result<Option<Known>, Error> {
    let unreadable =
        |error: io::Error| Error::Open { path: files::head(path), message: error.to_string() };
    let known = match HeadFile::read(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Ok(Some(Known::from(&Head::EMPTY)));
        }
        known => known.map_err(unreadable)?,
    };
    let Ok(conn) = connection::open_reader(path) else { return Ok(None) };
    // While it lasts, no checkpoint takes pages out of the log.
    let began = conn.execute_batch(queries::BEGIN_READ);
    if began.is_ok()
        && let Some(page) = cut::missing_page(path, &conn).map_err(unreadable)?
    {
        return Err(Error::Open {
            path: path.to_owned(),
            message: format!(
                "the file was cut: page {page} is neither in it nor in its log. Restore a backup, or name another \
                 file with --database"
            ),
        });
    }
    let found = match &known {
        Some(known) => is_there(&conn, known).map(|there| (!there).then(|| known.clone())),
        None => was_left_open(&conn, path).map(|open| open.then(|| Known::from(&Head::EMPTY))),
    };
    match found {
        Ok(missing) => Ok(missing),
        // An empty database has no such table. Anything that is not a database is reported by the next step.
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::Unknown) => {
            Ok(known.filter(|known| known.seq > 0))
        }
        Err(_) => Ok(None),
    }
}

/// The refusal of a database that misses an event.
pub(crate) fn refusal(path: &Path, missing: &Known) -> Error {
    let what = match missing.seq {
        0 => format!(
            "an engine had it open, and its log, or {}, is gone or damaged",
            files::head(path).display()
        ),
        seq => format!("event {seq} was on disk, and the database does not have it"),
    };
    Error::Open {
        path: path.to_owned(),
        message: format!(
            "records are missing: {what}. The log ({}) was removed or cut, or this is an older copy. Put back \
             the files that belong together, or start `serve` once with --accept-loss: then calls that ran \
             before may run again",
            files::log(path).display()
        ),
    }
}

fn is_there(conn: &Connection, known: &Known) -> rusqlite::Result<bool> {
    if known.seq == 0 {
        return Ok(true);
    }
    let hash: Option<[u8; 32]> =
        conn.query_row(queries::EVENT_HASH, [known.seq], |row| row.get(0)).optional()?;
    Ok(hash.is_some_and(|hash| Digest::from_bytes(hash).hex(32) == known.hash))
}

/// A database without its head file was moved or copied. It is whole if it was closed, or has its log.
fn was_left_open(conn: &Connection, path: &Path) -> rusqlite::Result<bool> {
    Ok(files::size(&files::log(path)) == 0 && meta::is_open(conn)?)
}
