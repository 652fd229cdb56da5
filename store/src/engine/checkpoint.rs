//! Checkpoints, instead of SQLite's automatic ones: in the background, where they delay no call, and by the
//! writer if the log would grow without bound.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;

use crate::engine::fatal;
use crate::engine::status::Status;
use crate::engine::watch::Watch;
use crate::files;
use crate::sqlite::error::{Severity, severity};
use crate::sqlite::{connection, queries};

/// A passive checkpoint runs when the log has grown by this many bytes …
const PASSIVE: u64 = 16 * 1024 * 1024;
/// … or after this long without a commit. Each checkpoint costs up to three fsyncs, so not more often.
const QUIET: Duration = Duration::from_secs(10);
/// Above this size the writer restarts the log between two groups, as soon as a passive checkpoint has left
/// at most [`LITTLE`] to move …
const RESTART: u64 = 64 * 1024 * 1024;
const LITTLE: u64 = 2 * 1024 * 1024;
/// … or above this size, whatever is left: the checkpointer cannot keep up.
const RESTART_AT_LAST: u64 = 2 * RESTART;
/// How long the writer waits before it tries again after a reader blocked a restart.
const RESTART_PAUSE: Duration = Duration::from_secs(2);

/// How long a restart waits for readers to finish.
const RESTART_WAIT: Duration = Duration::from_millis(50);

thread_local! {
    /// The number of pages in the log after this thread's last commit.
    static WAL_PAGES: Cell<u64> = const { Cell::new(0) };
}

/// Counts the pages of the log at each commit of this connection. Replaces SQLite's automatic checkpoints,
/// which use the same hook.
pub(crate) fn watch_log(conn: &Connection) {
    conn.wal_hook(Some(|_: &Wal, pages| {
        WAL_PAGES.set(u64::try_from(pages).unwrap_or(0));
        Ok(())
    }));
}

/// How many pages the log has after the last commit of this thread's connection.
pub(crate) fn pages_in_log() -> u64 {
    WAL_PAGES.get()
}

/// Keeps a connection from moving a log that is no longer whole, and from deleting a file that is no longer its
/// log, when it closes.
pub(crate) fn never_again(conn: &Connection) {
    if let Err(error) = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
        tracing::warn!(%error, "cannot keep SQLite from a last checkpoint");
    }
}

/// Moves what the log has into the database, as far as no reader is in the way.
pub(crate) fn now(conn: &Connection) {
    run(conn, queries::CHECKPOINT_PASSIVE);
}

/// Whether the disk has space for what the log adds to the database's length. Half a move would only take space
/// from what is recorded next.
pub(crate) fn log_fits(conn: &Connection) -> bool {
    let (Some(path), Ok(pages), Ok(page_size)) =
        (conn.path().map(Path::new), connection::page_count(conn), connection::page_size(conn))
    else {
        return true;
    };
    let growth = (pages * page_size).saturating_sub(files::size(path));
    files::free(path) >= growth
}

/// Moves the whole log into the database, synced, and truncates it. False: another program keeps it from being
/// moved.
pub(crate) fn all(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row(queries::CHECKPOINT_TRUNCATE, [], |row| {
        let (busy, log, done): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(busy == 0 && log == done)
    })
}

/// [`all`], before the writer stops. What is left is moved at the next start.
pub(crate) fn at_stop(conn: &Connection) {
    run(conn, queries::CHECKPOINT_TRUNCATE);
}

/// The checkpoints of the writer, and its connection to the checkpointer.
pub(crate) struct Checkpoints {
    wake: SyncSender<()>,
    /// How many pages of the log the last checkpoint has moved; 0 once the writer has read it.
    done: Arc<AtomicU64>,
    /// The page size of the database, in bytes.
    page_size: u64,
    /// The size of the log at which new calls are refused, in bytes.
    max_log: u64,
    requested_at: u64,
    done_before: u64,
    restart_not_before: Instant,
}

impl Checkpoints {
    /// Starts the checkpointer's thread on its own connection.
    pub(crate) fn start(
        conn: Connection,
        page_size: u64,
        max_log: u64,
        status: Arc<Status>,
        watch: Arc<Watch>,
    ) -> std::io::Result<Self> {
        let (wake, requests) = mpsc::sync_channel(1);
        let done = Arc::new(AtomicU64::default());
        let of_thread = Arc::clone(&done);
        fatal::spawn("checkpointer", move || {
            checkpointer(&conn, &requests, &status, &watch, &of_thread);
        })?;
        Ok(Self {
            wake,
            done,
            page_size,
            max_log,
            requested_at: 0,
            done_before: 0,
            restart_not_before: Instant::now(),
        })
    }

    /// To be called after each commit of the writer.
    pub(crate) fn committed(&mut self) {
        let pages = WAL_PAGES.get();
        if pages < self.requested_at {
            // The log was restarted.
            (self.requested_at, self.done_before) = (0, 0);
        }
        if pages >= self.requested_at + PASSIVE / self.page_size {
            self.request(pages);
        }
    }

    fn request(&mut self, pages: u64) {
        self.requested_at = pages;
        // An error means that the channel is full: a checkpoint is requested already.
        let _ = self.wake.try_send(());
    }

    /// Restarts a long log. To be called when every caller has its answer.
    pub(crate) fn between_groups(&mut self, conn: &Connection) {
        let pages = WAL_PAGES.get();
        if pages < RESTART.min(self.max_log) / self.page_size {
            return;
        }
        // Read once per checkpoint: a moment later the log has grown.
        let done = self.done.swap(0, Ordering::Relaxed);
        if pages >= RESTART_AT_LAST.min(self.max_log) / self.page_size
            || pages.saturating_sub(done) <= LITTLE / self.page_size
        {
            self.restart(conn, queries::CHECKPOINT_RESTART);
        } else if done > self.done_before {
            // The next one has less to do. After one that a reader blocked, none is requested.
            self.done_before = done;
            self.request(pages);
        }
    }

    /// Gives the space of the log back to the disk, if all of it fits into the database.
    pub(crate) fn shrink(&mut self, conn: &Connection) {
        let is_empty =
            conn.path().is_some_and(|path| files::size(&files::log(Path::new(path))) == 0);
        if !is_empty && log_fits(conn) {
            self.restart(conn, queries::CHECKPOINT_TRUNCATE);
        }
    }

    /// Reports a log that another program keeps from shrinking. To be called once a second, after
    /// [`Self::between_groups`].
    pub(crate) fn watch_size(&self, status: &Status) {
        let bytes = WAL_PAGES.get() * self.page_size;
        let pinned = bytes > RESTART_AT_LAST;
        if pinned && !status.log_pinned.swap(pinned, Ordering::Relaxed) {
            tracing::warn!(
                bytes,
                "another program's open read transaction keeps the write-ahead log from shrinking"
            );
        }
        status.log_pinned.store(pinned, Ordering::Relaxed);
        let full = bytes > self.max_log;
        if full && !status.log_full.swap(full, Ordering::Relaxed) {
            tracing::error!(
                bytes,
                "the write-ahead log is too large: new calls are refused until it shrinks"
            );
        }
        status.log_full.store(full, Ordering::Relaxed);
    }

    fn restart(&mut self, conn: &Connection, pragma: &str) {
        if Instant::now() < self.restart_not_before {
            return;
        }
        if restart(conn, pragma) {
            (self.requested_at, self.done_before) = (0, 0);
            WAL_PAGES.set(0);
        } else {
            self.restart_not_before = Instant::now() + RESTART_PAUSE;
        }
    }
}

fn checkpointer(
    conn: &Connection,
    requests: &mpsc::Receiver<()>,
    status: &Status,
    watch: &Watch,
    moved: &AtomicU64,
) {
    let (mut done_at, mut seen_at) = (0, 0);
    loop {
        let quiet = match requests.recv_timeout(QUIET) {
            Ok(()) => false,
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if status.is_lost() {
            return never_again(conn);
        }
        let commits = status.commits().count;
        let idle = commits == seen_at && commits != done_at;
        seen_at = commits;
        let has_space = !status.full.load(Ordering::Relaxed) || log_fits(conn);
        if (!quiet || idle) && has_space {
            fatal::panic_point("checkpointer");
            // The writer says what is wrong, within a second.
            if watch.check_again().is_err() {
                continue;
            }
            let (_, done) = run(conn, queries::CHECKPOINT_PASSIVE);
            moved.store(done, Ordering::Relaxed);
            done_at = commits;
        }
    }
}

/// Lets the next commit restart the log, if readers finish in time.
fn restart(conn: &Connection, pragma: &str) -> bool {
    let set_timeout = |wait| conn.busy_timeout(wait).is_ok();
    let restarted = set_timeout(RESTART_WAIT) && run(conn, pragma).0;
    set_timeout(connection::BUSY_TIMEOUT) && restarted
}

/// Runs a checkpoint. Returns whether no reader blocked it, and how many pages of the log are in the database.
fn run(conn: &Connection, pragma: &str) -> (bool, u64) {
    let outcome = conn.prepare_cached(pragma).and_then(|mut statement| {
        statement.query_row([], |row| {
            let (busy, done): (i64, i64) = (row.get(0)?, row.get(2)?);
            Ok((busy == 0, u64::try_from(done).unwrap_or(0)))
        })
    });
    match outcome {
        Ok(outcome) => outcome,
        Err(error) if severity(&error) == Severity::Fatal => {
            fatal::die(&format!("a checkpoint failed: {error}"))
        }
        Err(error) => {
            tracing::debug!(%error, "checkpoint postponed");
            (false, 0)
        }
    }
}
