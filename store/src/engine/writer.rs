//! The one thread that writes: what has gathered while the last commit ran is one transaction, one
//! fsync, then all answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use store_core::Error;
use tokio::sync::oneshot;

use crate::audit::events::{Head, NewEvent};
use crate::clock::TimeKeeper;
use crate::engine::checkpoint::{self, Checkpoints};
use crate::engine::job::{Job, Lane, Message, refuse_sql};
use crate::engine::replays::Replays;
use crate::engine::reserve::Reserve;
use crate::engine::shared::{Every, Shared};
use crate::engine::write::{Effect, Live, Write};
use crate::engine::{duplicates, fatal, housekeeping};
use crate::sqlite::error::{Fail, Severity, severity};
use crate::sqlite::queries;
use crate::sqlite::scope::Scopes;
use crate::token::Secret;

/// The most jobs in one transaction: bounds what a crash can take with it and how long the first
/// of them waits.
const MAX_GROUP: usize = 1_024;

/// How often outcomes that wait for room are tried before the writer stops.
const LAST_TRIES: usize = 3;

/// The longest sleep of an idle writer: what housekeeping is due is done at least this often.
const IDLE: Duration = Duration::from_secs(1);

pub(crate) struct Writer {
    pub(crate) conn: Connection,
    pub(crate) messages: Receiver<Message>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) secret: Secret,
    pub(crate) keeper: TimeKeeper,
    /// How far the wall clock jumped, until that is in the log.
    pub(crate) jump: Option<Duration>,
    pub(crate) head: Head,
    pub(crate) live: Live,
    pub(crate) reserve: Reserve,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) scopes: Arc<Scopes>,
    pub(crate) replays: Arc<Replays>,
    /// Outcomes that found no room: tried again until they are on disk.
    pub(crate) parked: Vec<Box<dyn Job>>,
    pub(crate) every_second: Every,
    pub(crate) every_minute: Every,
    pub(crate) every_hour: Every,
    /// Where the hourly walk that drops old bodies goes on; `None` when it is through.
    pub(crate) bodies_from: Option<i64>,
}

impl Writer {
    /// Runs until it is told to stop, with everything that came before written.
    pub(crate) fn run(mut self) {
        let stopped = loop {
            let (group, stop) = self.gather();
            if !group.is_empty() {
                self.commit_group(group);
            }
            self.checkpoints.between_groups(&self.conn);
            if let Some(stop) = stop {
                break stop;
            }
            housekeeping::run(&mut self);
        };
        for _ in 0..LAST_TRIES {
            housekeeping::finish_parked(&mut self);
        }
        if !self.parked.is_empty() {
            tracing::error!(
                outcomes = self.parked.len(),
                "no room: these calls are in doubt at the next start"
            );
        }
        housekeeping::flush_counts(&mut self);
        duplicates::flush(&mut self, true);
        checkpoint::all(&self.conn);
        let _ = stopped.send(());
    }

    /// Waits for a job, then takes all that are there.
    fn gather(&mut self) -> (Vec<Box<dyn Job>>, Option<oneshot::Sender<()>>) {
        let mut group = Vec::new();
        let wait = self
            .live
            .next_due()
            .map_or(IDLE, |due| due.saturating_duration_since(Instant::now()).min(IDLE));
        let mut next = match self.messages.recv_timeout(wait) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return (group, Some(oneshot::channel().0)),
        };
        while let Some(message) = next {
            match message {
                Message::Job(job, _permit) => group.push(job),
                Message::Stop(reply) => return (group, Some(reply)),
            }
            if group.len() == MAX_GROUP {
                break;
            }
            next = self.messages.try_recv().ok();
        }
        (group, None)
    }

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
        if !self.shared.full.load(Ordering::Relaxed) || job.lane() != Lane::Ordinary {
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

    /// Where the disk is full: refuses new calls from now on, and gives the reserve to outcomes.
    pub(crate) fn make_room(&self, error: &rusqlite::Error) {
        if severity(error) == Severity::Full {
            self.shared.full.store(true, Ordering::Relaxed);
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
    pub(crate) fn transaction(
        &mut self,
        jobs: &mut [&mut (dyn Job + '_)],
    ) -> Result<Vec<Effect>, Undone> {
        let began = Instant::now();
        let (now, jump) = self.keeper.now();
        let mut write = Write {
            conn: &self.conn,
            now,
            expiry: !self.shared.jumped.load(Ordering::Relaxed),
            secret: &self.secret,
            live: &mut self.live,
            events: Vec::new(),
            effects: Vec::new(),
        };
        if let Some(jump) = jump {
            tracing::warn!(seconds = jump.as_secs(), "the wall clock jumped forward");
            self.jump = Some(jump);
        }
        if let Some(jump) = self.jump {
            write.event(NewEvent::engine("clock-jump", &Jump { seconds: jump.as_secs() }));
        }
        let done = run_all(&mut write, jobs).and_then(|()| {
            let head =
                self.head.append(write.conn, now, &write.events).inspect_err(written_by_others)?;
            write.conn.prepare_cached(queries::COMMIT)?.execute([])?;
            Ok(head)
        });
        match done {
            Ok(head) => {
                self.head = head;
                self.jump = None;
                let effects = write.effects;
                self.live.committed();
                self.shared.events.store(head.seq, Ordering::Relaxed);
                self.shared.newest_at.store(head.at.as_micros(), Ordering::Relaxed);
                self.shared.newest.send_replace(head.seq);
                self.shared.observe_commit(began.elapsed());
                self.checkpoints.committed();
                Ok(effects)
            }
            Err(undone) => {
                if let Undone::Failed(error) = &undone
                    && severity(error) == Severity::Fatal
                {
                    fatal::die(&format!("the database failed: {error}"));
                }
                self.live.undo();
                if !self.conn.is_autocommit()
                    && let Err(error) = self.conn.execute_batch(queries::ROLLBACK)
                {
                    fatal::die(&format!("a rollback failed: {error}"));
                }
                Err(undone)
            }
        }
    }

    pub(crate) fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Settled(id, settled) => self.live.settle(id, settled),
                Effect::Leased(id, attempt, ttl) => self.live.lease(id, attempt, ttl),
                Effect::Unleased(id) => self.live.unlease(id),
                Effect::InFlight(by) => Shared::add(&self.shared.in_flight, by),
                Effect::InDoubt(by) => Shared::add(&self.shared.in_doubt, by),
                Effect::ScopesChanged => self.scopes.forget(),
                Effect::ReplaysChanged => self.replays.forget(),
            }
        }
    }
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
pub(crate) enum Undone {
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
    let conn = write.conn;
    conn.prepare_cached(queries::BEGIN)?.execute([])?;
    for job in jobs {
        let (events, effects) = (write.events.len(), write.effects.len());
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
        write.events.truncate(events);
        write.effects.truncate(effects);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
