//! The only writer: what has gathered while the last commit ran is one transaction, one fsync, then all
//! answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rusqlite::Connection;
use store_core::Error;
use store_core::model::EventKind;

use crate::audit::events::Head;
use crate::clock::TimeKeeper;
use crate::decide::context::Context;
use crate::decide::event::NewEvent;
use crate::decide::plan::Effect;
use crate::engine::caches::Caches;
use crate::engine::checkpoint::Checkpoints;
use crate::engine::fatal;
use crate::engine::job::{Job, Lane, refuse_sql};
use crate::engine::live::Live;
use crate::engine::reserve::Reserve;
use crate::engine::status::Status;
use crate::engine::write::Write;
use crate::sqlite::error::{Fail, Severity, severity};
use crate::sqlite::queries;
use crate::sqlite::transaction::{AfterCommit, Touched, Transaction};
use crate::token::Secret;

/// What the writer knows that is not on disk.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) live: Live,
    touched: Touched,
}

pub(crate) struct Writer {
    pub(crate) conn: Connection,
    pub(crate) status: Arc<Status>,
    pub(crate) secret: Secret,
    pub(crate) keeper: TimeKeeper,
    pub(crate) head: Head,
    pub(crate) memory: Memory,
    pub(crate) reserve: Reserve,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) caches: Arc<Caches>,
    /// Outcomes that found no room: tried again until they are on disk.
    pub(crate) parked: Vec<Box<dyn Job>>,
}

impl Writer {
    /// One transaction for all; where that fails, one for each.
    pub(crate) fn commit_group(&mut self, group: Vec<Box<dyn Job>>) {
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
            // A foreign program writes: nothing was begun, and alone no job would fare better.
            Err(Undone::Failed(error)) if severity(&error) == Severity::Busy => {
                for job in group {
                    self.put_off(job, &error);
                }
            }
            Err(Undone::Failed(error)) => {
                // FULL, NOMEM and others may have rolled back the whole transaction, savepoints
                // and all: no job of it is done, and none may be lost. Outcomes come first.
                tracing::warn!(%error, jobs = group.len(), "group commit failed; committing one by one");
                group.sort_by_key(|job| job.lane() == Lane::Ordinary);
                for job in group {
                    self.commit_one(job);
                }
            }
        }
    }

    /// Refuses what waited in the queue when the disk became full: the room that is left is for outcomes.
    fn admit(&self, mut job: Box<dyn Job>) -> Option<Box<dyn Job>> {
        if !self.status.full.load(Ordering::Relaxed) || job.lane() != Lane::Ordinary {
            return Some(job);
        }
        job.refuse(Error::Full);
        job.answer();
        None
    }

    fn commit_one(&mut self, job: Box<dyn Job>) {
        let Some(mut job) = self.admit(job) else { return };
        match self.transaction(&mut [job.as_mut()]) {
            Ok(effects) => {
                self.apply(effects);
                job.answer();
            }
            Err(Undone::Refused) => job.answer(),
            Err(Undone::Failed(error)) => {
                self.make_room(&error);
                self.put_off(job, &error);
            }
        }
    }

    /// Tries once more to write outcomes that found no room.
    pub(crate) fn finish_parked(&mut self) {
        let parked = std::mem::take(&mut self.parked);
        if !parked.is_empty() {
            self.commit_group(parked);
        }
        self.status.stalled.store(!self.parked.is_empty(), Ordering::Relaxed);
    }

    /// Runs `work` in a transaction of its own, now.
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

    /// Where the disk is full: refuses new calls from now on, and gives the reserve to outcomes.
    pub(crate) fn make_room(&self, error: &rusqlite::Error) {
        if severity(error) == Severity::Full {
            self.status.full.store(true, Ordering::Relaxed);
            self.reserve.give_up(&self.conn);
        }
    }

    /// Refuses a job that may be asked again. An outcome is not given up for want of room:
    /// housekeeping tries again.
    fn put_off(&mut self, mut job: Box<dyn Job>, error: &rusqlite::Error) {
        if job.lane() != Lane::Ordinary && severity(error) != Severity::Statement {
            self.parked.push(job);
            return;
        }
        refuse_sql(job.as_mut(), error);
        job.answer();
    }

    /// Runs the jobs in one transaction and commits. On `Err` nothing of it is left. Does not return
    /// when the pages can no longer be trusted.
    fn transaction(
        &mut self,
        jobs: &mut [&mut (dyn Job + '_)],
    ) -> Result<Vec<AfterCommit>, Undone> {
        let began = Instant::now();
        let now = self.keeper.now();
        let context = Context {
            now,
            expiry: !self.status.jumped.load(Ordering::Relaxed),
            secret: &self.secret,
        };
        let tx = Transaction::new(&self.conn, context, &mut self.memory.touched);
        let mut write = Write { tx, live: &mut self.memory.live };
        if let Some(jump) = self.keeper.jump() {
            let jump = Jump { seconds: jump.as_secs() };
            write.tx.event(NewEvent::engine(EventKind::ClockJump, &jump));
        }
        let done = run_all(&mut write, jobs).and_then(|()| {
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
                self.keeper.logged();
                let effects = write.tx.into_after();
                self.memory.live.committed();
                self.status.set_newest(head.seq, head.at);
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
        }
    }
}

/// A job that the writer gives itself: nobody waits for its answer.
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

    fn answer(self: Box<Self>) {}
}

/// The log's end is known to this process alone: where the next row is there already, another program has
/// written it, and every later call would fail. A new start reads where the log ends.
fn written_by_others(error: &rusqlite::Error) {
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) {
        fatal::die("another program has written to the event log of this database; start again");
    }
}

#[derive(serde::Serialize)]
struct Jump {
    seconds: u64,
}

/// Why nothing of a transaction was written.
#[derive(Debug)]
enum Undone {
    /// A job refused after it had written something. It keeps its refusal; the others of its group
    /// have done nothing.
    Refused,
    /// The database did.
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Undone {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

/// Jobs have no savepoints: nearly all that refuse do so before they write, and the copies of pages
/// that a savepoint takes would be paid for by every call.
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
