//! Checkpoints are ours: in the background where they cost nobody's call, by the writer where the
//! log would grow without bound.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use crate::engine::fatal;
use crate::engine::status::Status;
use crate::sqlite::error::{Severity, severity};
use crate::sqlite::{connection, queries};

/// A passive checkpoint runs when this many more bytes have gathered in the log …
const PASSIVE: u64 = 16 * 1024 * 1024;
/// … or after this long without a commit. Each costs up to three fsyncs: no short timer.
const QUIET: Duration = Duration::from_secs(10);
/// Past this the log begins anew: between two groups, by the writer itself, as soon as a passive checkpoint
/// has left it no more than [`LITTLE`] to do …
const RESTART: u64 = 64 * 1024 * 1024;
const LITTLE: u64 = 2 * 1024 * 1024;
/// … or, where the checkpointer does not keep up, whatever is left.
const RESTART_AT_LAST: u64 = 2 * RESTART;
/// How long the writer leaves it after a reader was in the way.
const RESTART_PAUSE: Duration = Duration::from_secs(2);

/// How long it waits for readers to leave the log.
const RESTART_PATIENCE: Duration = Duration::from_millis(50);

thread_local! {
    /// Pages in the log after this thread's last commit.
    static WAL_PAGES: Cell<u64> = const { Cell::new(0) };
}

/// Makes commits of this connection count the pages of the log. Replaces SQLite's own checkpoints,
/// which hang on the same hook.
pub(crate) fn watch_log(conn: &Connection) {
    conn.wal_hook(Some(|_: &Wal, pages| {
        WAL_PAGES.set(u64::try_from(pages).unwrap_or(0));
        Ok(())
    }));
}

/// At the start, before anything is read, and at a clean stop: what the log holds goes into the
/// database, synced.
pub(crate) fn all(conn: &Connection) {
    run(conn, queries::CHECKPOINT_TRUNCATE);
}

/// The writer's side.
pub(crate) struct Checkpoints {
    wake: SyncSender<()>,
    /// How many pages of the log the checkpoint that has just ended found in the database; 0 once that is known.
    done: Arc<AtomicU64>,
    /// In bytes.
    page_size: u64,
    asked_at: u64,
    done_before: u64,
    restart_not_before: Instant,
}

impl Checkpoints {
    /// Starts the checkpointer's thread on a connection of its own.
    pub(crate) fn start(
        conn: Connection,
        page_size: u64,
        status: Arc<Status>,
    ) -> std::io::Result<Self> {
        let (wake, asked) = mpsc::sync_channel(1);
        let done = Arc::new(AtomicU64::default());
        let of_thread = Arc::clone(&done);
        fatal::spawn("checkpointer", move || checkpointer(&conn, &asked, &status, &of_thread))?;
        Ok(Self {
            wake,
            done,
            page_size,
            asked_at: 0,
            done_before: 0,
            restart_not_before: Instant::now(),
        })
    }

    /// After each commit of the writer.
    pub(crate) fn committed(&mut self) {
        let pages = WAL_PAGES.get();
        if pages < self.asked_at {
            // The log began anew.
            (self.asked_at, self.done_before) = (0, 0);
        }
        if pages >= self.asked_at + PASSIVE / self.page_size {
            self.ask(pages);
        }
    }

    fn ask(&mut self, pages: u64) {
        self.asked_at = pages;
        // A full channel: it is already asked for.
        let _ = self.wake.try_send(());
    }

    /// Begins a long log anew. To be called when everybody has got an answer.
    pub(crate) fn between_groups(&mut self, conn: &Connection) {
        let pages = WAL_PAGES.get();
        if pages < RESTART / self.page_size {
            return;
        }
        // Told once for each checkpoint: a moment later the log has grown.
        let done = self.done.swap(0, Ordering::Relaxed);
        if pages >= RESTART_AT_LAST / self.page_size
            || pages.saturating_sub(done) <= LITTLE / self.page_size
        {
            self.restart(conn);
        } else if done > self.done_before {
            // The next one has less to do; one that a reader stands in the way of is not asked again.
            self.done_before = done;
            self.ask(pages);
        }
    }

    fn restart(&mut self, conn: &Connection) {
        if Instant::now() < self.restart_not_before {
            return;
        }
        if restart(conn) {
            (self.asked_at, self.done_before) = (0, 0);
            WAL_PAGES.set(0);
        } else {
            self.restart_not_before = Instant::now() + RESTART_PAUSE;
        }
    }
}

fn checkpointer(conn: &Connection, asked: &mpsc::Receiver<()>, status: &Status, moved: &AtomicU64) {
    let (mut done_at, mut seen_at) = (0, 0);
    loop {
        let quiet = match asked.recv_timeout(QUIET) {
            Ok(()) => false,
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let commits = status.commits().count;
        let idle = commits == seen_at && commits != done_at;
        seen_at = commits;
        if !quiet || idle {
            fatal::panic_point("checkpointer");
            let (_, done) = run(conn, queries::CHECKPOINT_PASSIVE);
            moved.store(done, Ordering::Relaxed);
            done_at = commits;
        }
    }
}

/// Lets the next commit begin the log anew, if readers leave it within a moment.
fn restart(conn: &Connection) -> bool {
    let patience = |wait| conn.busy_timeout(wait).is_ok();
    let restarted = patience(RESTART_PATIENCE) && run(conn, queries::CHECKPOINT_RESTART).0;
    patience(connection::BUSY_TIMEOUT) && restarted
}

/// Runs a checkpoint: whether nobody was in its way, and how many pages of the log are in the database.
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
            tracing::debug!(%error, "checkpoint put off");
            (false, 0)
        }
    }
}
