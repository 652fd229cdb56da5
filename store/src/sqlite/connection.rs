//! Opens connections.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// How long a statement waits for another program that is writing to the file.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How many prepared statements a connection caches.
const STATEMENTS: usize = 128;
/// The page size of a new database, in bytes. A commit writes whole pages of the trees that it touches, about
/// ten of them. Small pages halve what a call writes (4,096: 26 KiB, 1,024: 14 KiB at 16 connections) and
/// shorten the fsync of a single call by a third.
const PAGE_SIZE: i64 = 1_024;
/// The page cache of the writer, in KiB. SQLite visits each cached page in a commit that balanced a tree
/// (`balance_nonroot` moves a page past the end of the file for a moment, and a commit drops pages past the
/// end): 16 MiB took a quarter of the writer's time, and with 2 MiB many pages were read again.
const WRITER_CACHE: i64 = 4 * 1024;
/// The page cache of each reader, in KiB. With a million executions, the inner pages of the trees that a call
/// reads take about 20 MiB. Allocated as needed.
const READER_CACHE: i64 = 8 * 1024;
/// The log is truncated to this size when it restarts.
const LOG_LIMIT: i64 = 64 * 1024 * 1024;

/// A connection that may write. `synchronous=FULL`: every commit is fsynced before it returns.
pub(crate) fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.pragma_update(None, "page_size", PAGE_SIZE)?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", synchronous())?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "secure_delete", true)?;
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    conn.pragma_update_and_check(None, "journal_size_limit", LOG_LIMIT, |_| Ok(()))?;
    // A negative number is in KiB, a positive one in pages.
    conn.pragma_update(None, "cache_size", -WRITER_CACHE)?;
    Ok(conn)
}

/// The page size of the database, in bytes. It was fixed when the file was created.
pub(crate) fn page_size(conn: &Connection) -> rusqlite::Result<u64> {
    conn.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}

/// How many pages the database has, with those that are only in the log.
pub(crate) fn page_count(conn: &Connection) -> rusqlite::Result<u64> {
    conn.pragma_query_value(None, "page_count", |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}

/// Always FULL. A build for crash tests can be set to NORMAL, to show that the tests notice it.
fn synchronous() -> &'static str {
    #[cfg(feature = "failpoints")]
    if std::env::var("STATE_ENGINE_TEST_SYNCHRONOUS").as_deref() == Ok("normal") {
        return "NORMAL";
    }
    "FULL"
}

/// A connection that only reads. Never `immutable`: that would hide the log.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.pragma_update(None, "cache_size", -READER_CACHE)?;
    Ok(conn)
}
