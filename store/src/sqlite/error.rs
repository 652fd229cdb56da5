//! What SQLite errors mean for the writer.

use std::path::Path;

use rusqlite::{ErrorCode, ffi};
use store_core::Error;

/// Why a job failed.
#[derive(Debug)]
pub(crate) enum Fail {
    /// The job refused; what it wrote is undone.
    Refused(Error),
    /// The database returned an error.
    Sql(rusqlite::Error),
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Fail {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<store_core::state::Illegal> for Fail {
    fn from(illegal: store_core::state::Illegal) -> Self {
        Self::Refused(illegal.into())
    }
}

impl From<serde_json::Error> for Fail {
    fn from(error: serde_json::Error) -> Self {
        tracing::error!(%error, "a stored text is not JSON");
        Self::Refused(Error::Internal)
    }
}

/// What to do about an SQLite error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The database can no longer be trusted: the process must end. A failed fsync is an IOERR.
    Fatal,
    /// No disk space, or the page limit is reached.
    Full,
    /// Another program is using the file.
    Busy,
    /// The statement was refused, or memory was exhausted.
    Statement,
}

pub(crate) fn severity(error: &rusqlite::Error) -> Severity {
    // The index of the log is a file too. SQLite has no other name for a disk without space for it.
    if error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE) {
        return Severity::Full;
    }
    match error.sqlite_error_code() {
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::CannotOpen
            | ErrorCode::FileLockingProtocolFailed,
        ) => Severity::Fatal,
        Some(ErrorCode::DiskFull) => Severity::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Severity::Busy,
        _ => Severity::Statement,
    }
}

/// The public error for an SQLite error. Details are only logged.
pub(crate) fn public(error: &rusqlite::Error) -> Error {
    match severity(error) {
        Severity::Full => Error::Full,
        Severity::Busy => Error::Busy,
        Severity::Fatal | Severity::Statement => {
            tracing::error!(%error, "sqlite error");
            Error::Internal
        }
    }
}

/// Why a database cannot be opened, and what to do about it.
pub(crate) fn open_error(path: &Path, error: &rusqlite::Error) -> Error {
    let message = match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => {
            "the file is not a database; name another file with --database".to_owned()
        }
        Some(rusqlite::ErrorCode::DatabaseBusy) => {
            "another program is using it; stop that program, or name another file with --database"
                .to_owned()
        }
        Some(rusqlite::ErrorCode::DiskFull) => {
            "the disk is full; free some space, or name another file with --database".to_owned()
        }
        Some(rusqlite::ErrorCode::SystemIoFailure | rusqlite::ErrorCode::DatabaseCorrupt) => {
            format!(
                "the database cannot be read, or was cut: {error}; restore a backup, or name another file with \
             --database"
            )
        }
        _ => format!("cannot open the database: {error}; name another file with --database"),
    };
    Error::Open { path: path.to_owned(), message }
}
