//! Group commit: all jobs that arrived during the last commit are one transaction and one fsync, then all
//! are answered.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use store_core::Error;
use store_core::model::EventKind;

use crate::audit::events::Head;
use crate::clock::keeper::TimeKeeper;
use crate::decide::context::Context;
use crate::decide::event::NewEvent;
use crate::decide::plan::Effect;
use crate::engine::caches::Caches;
use crate::engine::checkpoint::{self, Checkpoints};
use crate::engine::fatal;
use crate::engine::head_file::HeadFile;
use crate::engine::job::{Job, Lane};
use crate::engine::live::Live;
use crate::engine::reserve::Reserve;
use crate::engine::status::Status;
use crate::engine::watch::Watch;
use crate::engine::write::Write;
use crate::sqlite::error::{Fail, Severity, severity};
use crate::sqlite::transaction::{AfterCommit, Touched, Transaction};
use crate::sqlite::{meta, queries};
use crate::token::Secret;

/// State of the writer that is not on disk.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) live: Live,
    touched: Touched,
}

/// The owner of the only connection that writes.
pub(crate) struct Writer {
    pub(crate) conn: Connection,
    pub(crate) status: Arc<Status>,
    pub(crate) secret: Secret,
    pub(crate) keeper: TimeKeeper,
    pub(crate) head: Head,
    pub(crate) memory: Memory,
    pub(crate) reserve: Reserve,
    /// How long an answer that did not arrive is remembered, in microseconds.
    pub(crate) undelivered_for: i64,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) watch: Arc<Watch>,
    pub(crate) head_file: HeadFile,
    pub(crate) caches: Arc<Caches>,
    /// Outcomes that could not be written for lack of space. Retried until they are on disk.
    pub(crate) parked: Vec<Box<dyn Job>>,
}

impl Writer {
    /// Runs all jobs in one transaction; if that fails, each in its own.
    pub(crate) fn commit_group(&mut self, group: Vec<Box<dyn Job>>) {
        self.check_files();
        let mut group: Vec<_> = group.into_iter().filter_map(|job| self.admit(job)).collect();
        if group.is_empty() {
            return;
        }
        fatal::panic_point("writer");
        let mut jobs: Vec<&mut dyn Job> = group.iter_mut().map(|job| job.as_mut() as _).collect();
        match self.transaction(&mut jobs) {
            Ok(effects) => {
                self.apply(effects);
                group.into_iter().for_each(Job::answer);
            }
            Err(Undone::Refused) => group.into_iter().for_each(|job| self.commit_one(job)),
            // Another program is writing: no transaction was started, and running jobs one by one would not help.
            Err(Undone::Failed(error)) if severity(&error) == Severity::Busy => {
                for job in group {
                    self.postpone(job, &error);
                }
            }
            Err(Undone::Failed(error)) => {
                // FULL, NOMEM and others may have rolled back the whole transaction: no job is done,
                // and none may be lost. Outcomes come first.
                tracing::warn!(%error, jobs = group.len(), "group commit failed; committing one by one");
                group.sort_by_key(|job| !job.lane().is_outcome());
                for job in group {
                    self.commit_one(job);
                }
            }
        }
    }

    /// Checks that the files are still those of this engine, and whole. If not, new calls are refused from now
    /// on, and the owner of the store is asked to end the process.
    pub(crate) fn check_files(&mut self) {
        if self.status.is_lost() {
            return;
        }
        if let Err(how) = self.watch.check(&self.conn, checkpoint::pages_in_log()) {
            tracing::error!(
                %how,
                "the store lost its files: new calls are refused, and the engine stops when running calls are recorded"
            );
            checkpoint::never_again(&self.conn);
            self.status.set_lost(how);
            self.keep_head_file();
        }
    }

    /// The next start compares it with what it finds: so it has to be there.
    pub(crate) fn keep_head_file(&mut self) {
        if let Err(error) = self.head_file.keep() {
            tracing::warn!(%error, "cannot write the newest event beside the database");
        }
    }

    /// Refuses jobs that were queued when the disk became full, because the space that is left is for outcomes,
    /// or when the files were lost.
    fn admit(&self, mut job: Box<dyn Job>) -> Option<Box<dyn Job>> {
        if job.lane().is_outcome() {
            return Some(job);
        }
        let Err(refusal) = self.status.check_accepting() else { return Some(job) };
        job.refuse(refusal);
        job.answer();
        None
    }

    fn commit_one(&mut self, job: Box<dyn Job>) {
        let Some(mut job) = self.admit(job) else { return };
        let mut done = self.transaction(&mut [job.as_mut()]);
        if let Err(Undone::Failed(error)) = &done
            && self.make_space(error)
            && (job.lane().is_outcome() || !self.status.full.load(Ordering::Relaxed))
        {
            done = self.transaction(&mut [job.as_mut()]);
        }
        match done {
            Ok(effects) => {
                self.apply(effects);
                job.answer();
            }
            Err(Undone::Refused) => job.answer(),
            Err(Undone::Failed(error)) => self.postpone(job, &error),
        }
    }

    /// Notes that the database is whole without its log, and makes it so.
    pub(crate) fn close(&mut self) {
        if let Err(fail) = self.commit_now(|tx| Ok(meta::set_open(tx.conn, false)?)) {
            tracing::warn!(?fail, "cannot note that the database is closed");
        }
        if let Err(error) = self.head_file.sync() {
            tracing::warn!(%error, "cannot sync the newest event beside the database");
        }
        checkpoint::at_stop(&self.conn);
    }

    /// Runs `work` in its own transaction, now.
    pub(crate) fn commit_now(
        &mut self,
        work: impl FnMut(&mut Transaction<'_>) -> Result<(), Fail> + Send,
    ) -> Result<(), Fail> {
        let mut work = Own { work, refused: None };
        match self.transaction(&mut [&mut work]) {
            Ok(effects) => self.apply(effects),
            Err(Undone::Refused) => {}
            Err(Undone::Failed(error)) => return Err(error.into()),
        }
        match work.refused {
            None => Ok(()),
            Some(error) => Err(Fail::Refused(error)),
        }
    }

    /// Runs the jobs in one transaction and commits. After `Err` nothing of it is written. Does not return if
    /// the database can no longer be trusted.
    fn transaction(
        &mut self,
        jobs: &mut [&mut (dyn Job + '_)],
    ) -> Result<Vec<AfterCommit>, Undone> {
        let began = Instant::now();
        let now = self.keeper.now();
        let jumps = self.keeper.jumps();
        let context = Context {
            now,
            jumps: &jumps,
            undelivered_for: self.undelivered_for,
            secret: &self.secret,
        };
        let tx = Transaction::new(&self.conn, context, &mut self.memory.touched);
        let mut write = Write { tx, live: &mut self.memory.live };
        let jump = self.keeper.jump();
        if let Some(jump) = jump {
            let jump = Jump { seconds: jump.as_secs() };
            write.tx.event(NewEvent::engine(EventKind::ClockJump, &jump));
        }
        let done = run_all(&mut write, jobs).and_then(|()| {
            if jump.is_some() {
                meta::put_clock(write.tx.conn, &self.keeper.record())?;
            }
            let head = self
                .head
                .append(write.tx.conn, now, write.tx.events())
                .inspect_err(written_by_others)?;
            write.tx.conn.prepare_cached(queries::COMMIT)?.execute([])?;
            Ok(head)
        });
        match done {
            Ok(head) => {
                self.head = head;
                self.head_file.note(&self.head);
                if let Some(by) = jump {
                    self.keeper.logged();
                    self.status.set_jumps(Arc::clone(&jumps), by);
                    self.caches.replays.forget();
                }
                let effects = write.tx.into_after();
                self.memory.live.committed();
                self.status.set_newest(head.seq);
                self.status.set_time(now, self.keeper.since_boot());
                self.status.observe_commit(began.elapsed());
                self.checkpoints.committed();
                Ok(effects)
            }
            Err(undone) => {
                if let Undone::Failed(error) = &undone
                    && severity(error) == Severity::Fatal
                {
                    fatal::die(&format!("the database failed: {error}"));
                }
                self.memory.live.undo();
                self.memory.touched.forget();
                if !self.conn.is_autocommit()
                    && let Err(error) = self.conn.execute_batch(queries::ROLLBACK)
                {
                    fatal::die(&format!("a rollback failed: {error}"));
                }
                Err(undone)
            }
        }
    }

    fn apply(&mut self, effects: Vec<AfterCommit>) {
        for effect in effects {
            match effect {
                AfterCommit::Execution(row, effect) => self.apply_to(row, effect),
                AfterCommit::ScopesChanged => self.caches.scopes.forget(),
                AfterCommit::ReplaysChanged => self.caches.replays.forget(),
            }
        }
    }

    fn apply_to(&mut self, row: i64, effect: Effect) {
        match effect {
            Effect::Settled(settled) => self.memory.live.settle(row, settled),
            Effect::Leased { attempt, ttl } => self.memory.live.lease(row, attempt, ttl),
            Effect::Unleased => self.memory.live.unlease(row),
            Effect::InFlight(by) => Status::add(&self.status.in_flight, by),
            Effect::InDoubt(by) => Status::add(&self.status.in_doubt, by),
            Effect::ReplaysChanged => self.caches.replays.forget(),
            Effect::Given(execution_id) => self.caches.unconfirmed.add(execution_id),
        }
    }
}

/// A job of the writer itself: nobody waits for its answer.
struct Own<F> {
    work: F,
    refused: Option<Error>,
}

impl<F: FnMut(&mut Transaction<'_>) -> Result<(), Fail> + Send> Job for Own<F> {
    fn lane(&self) -> Lane {
        Lane::Ordinary
    }

    fn run(&mut self, write: &mut Write<'_>) -> Result<(), Fail> {
        (self.work)(&mut write.tx)
    }

    fn refuse(&mut self, error: Error) {
        self.refused = Some(error);
    }

    fn park(&mut self, _: Duration) {}

    fn answer(self: Box<Self>) {}
}

/// Only this process knows the end of the event log. If the next row exists already, another program has
/// written it, and every later job would fail. A restart reads the end again.
fn written_by_others(error: &rusqlite::Error) {
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) {
        fatal::die("another program has written to the event log of this database; start again");
    }
}

#[derive(serde::Serialize)]
struct Jump {
    seconds: u64,
}

/// Why a transaction was rolled back.
#[derive(Debug)]
enum Undone {
    /// A job refused after it had written something. It keeps its refusal; the other jobs of its group are
    /// undone.
    Refused,
    /// The database failed.
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Undone {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

/// Jobs have no savepoints: nearly all refusals happen before a write, and every call would pay for the
/// page copies of a savepoint.
fn run_all(write: &mut Write<'_>, jobs: &mut [&mut (dyn Job + '_)]) -> Result<(), Undone> {
    let conn = write.tx.conn;
    conn.prepare_cached(queries::BEGIN)?.execute([])?;
    for job in jobs {
        let mark = write.tx.mark();
        let before = conn.total_changes();
        match job.run(write) {
            Ok(()) => continue,
            Err(Fail::Sql(error))
                if severity(&error) != Severity::Statement || conn.is_autocommit() =>
            {
                return Err(error.into());
            }
            Err(Fail::Refused(error)) => job.refuse(error),
            Err(Fail::Sql(error)) => {
                tracing::error!(%error, "a statement failed");
                job.refuse(Error::Internal);
            }
        }
        if conn.total_changes() != before {
            return Err(Undone::Refused);
        }
        write.tx.forget_since(mark);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
