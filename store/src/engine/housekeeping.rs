//! What the writer does between groups: leases that ran out, outcomes that found no room, counts,
//! retention.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::{OptionalExtension, params};

use crate::audit::events::NewEvent;
use crate::decide::settle;
use crate::engine::duplicates;
use crate::engine::job::Job;
use crate::engine::write::{Effect, Write};
use crate::engine::writer::{Undone, Writer};
use crate::sqlite::error::Fail;
use crate::sqlite::queries;

/// Bodies of answers are kept this long.
pub(crate) const BODIES: Duration = Duration::from_secs(30 * 86_400);
/// Events are kept this long.
const EVENTS: Duration = Duration::from_secs(400 * 86_400);
/// The end of a lease that could not be written is tried again after this long.
const LEASE_RETRY: Duration = Duration::from_secs(1);

pub(crate) fn run(writer: &mut Writer) {
    end_leases(writer);
    if writer.every_second.due() {
        finish_parked(writer);
        drop_bodies(writer);
        duplicates::flush(writer, false);
        if writer.shared.full.load(Ordering::Relaxed) {
            take_reserve(writer);
        }
    }
    if writer.every_minute.due() {
        flush_counts(writer);
    }
    if writer.every_hour.due() {
        attempt_now(writer, "old events are kept for another hour", prune_events);
        writer.bodies_from = Some(0);
    }
}

/// Ends the leases that ran out.
fn end_leases(writer: &mut Writer) {
    while let Some((row, attempt)) = writer.live.expired(Instant::now()) {
        let ended = writer.commit_now(move |write| settle::expire(write, row, attempt));
        let Err(fail) = ended else { continue };
        tracing::warn!(?fail, "a lease could not be ended");
        writer.live.lease(row, attempt, LEASE_RETRY);
        if let Fail::Sql(error) = &fail {
            writer.make_room(error);
        }
        // Those who wait for the writer come before the next lease.
        return;
    }
}

/// Tries once more to write outcomes that found no room.
pub(crate) fn finish_parked(writer: &mut Writer) {
    let parked = std::mem::take(&mut writer.parked);
    if !parked.is_empty() {
        writer.commit_group(parked);
    }
    writer.shared.stalled.store(!writer.parked.is_empty(), Ordering::Relaxed);
}

/// Takes new calls again once there is room for the reserve.
fn take_reserve(writer: &Writer) {
    if writer.reserve.has_room(&writer.conn) && writer.reserve.make(&writer.conn).is_ok() {
        tracing::info!("there is disk space again: new calls are taken");
        writer.shared.full.store(false, Ordering::Relaxed);
    }
}

#[derive(serde::Serialize)]
struct Minute<'a> {
    kind: &'a str,
    what: &'a str,
    count: u64,
}

/// Writes the counts of what passed without a record: a row for each kind.
pub(crate) fn flush_counts(writer: &mut Writer) {
    let counts = writer.shared.take_counts();
    if counts.is_empty() {
        return;
    }
    attempt_now(writer, "a minute's counts are lost", move |write| {
        for ((kind, what), count) in &counts {
            write.event(NewEvent::engine("minute", &Minute { kind, what, count: *count }));
        }
        Ok(())
    });
}

#[derive(serde::Serialize)]
struct Pruned {
    up_to: i64,
    hash: String,
}

/// Drops old events behind a row that tells how far.
fn prune_events(write: &mut Write<'_>) -> Result<(), Fail> {
    if !write.expiry {
        return Ok(());
    }
    let last: Option<(i64, [u8; 32])> = write
        .conn
        .prepare_cached(queries::RETENTION_EVENT)?
        .query_row([before(write, EVENTS)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((up_to, hash)) = last {
        let hash = store_core::key::Digest::from_bytes(hash).hex(32);
        write.conn.prepare_cached(queries::RETENTION_PRUNE)?.execute(params![up_to])?;
        write.event(NewEvent::engine("pruned", &Pruned { up_to, hash }));
    }
    Ok(())
}

#[derive(serde::Serialize)]
struct BodiesDropped {
    answers: usize,
}

/// Drops the old bodies of the next answers: a thousand a second, so that no caller waits long.
fn drop_bodies(writer: &mut Writer) {
    let Some(from) = writer.bodies_from else { return };
    let mut next = None;
    attempt_now(writer, "old bodies are kept for another hour", |write| {
        if !write.expiry {
            return Ok(());
        }
        let before = before(write, BODIES);
        let (to, old): (Option<i64>, Option<bool>) = write
            .conn
            .prepare_cached(queries::RETENTION_RANGE)?
            .query_row(params![from, before], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some(to) = to else { return Ok(()) };
        let dropped = write
            .conn
            .prepare_cached(queries::RETENTION_BODIES)?
            .execute(params![from, to, before])?;
        if dropped > 0 {
            write.effects.push(Effect::ReplaysChanged);
            write.event(NewEvent::engine("bodies-dropped", &BodiesDropped { answers: dropped }));
        }
        next = old.unwrap_or(false).then_some(to);
        Ok(())
    });
    writer.bodies_from = next;
}

/// The moment that is `age` ago, in microseconds.
fn before(write: &Write<'_>, age: Duration) -> i64 {
    write.now.as_micros() - i64::try_from(age.as_micros()).unwrap_or(i64::MAX)
}

/// Runs a job of the writer's own; what fails is logged and left to the next time.
pub(crate) fn attempt_now(
    writer: &mut Writer,
    otherwise: &'static str,
    work: impl FnMut(&mut Write<'_>) -> Result<(), Fail> + Send,
) {
    if let Err(fail) = writer.commit_now(work) {
        tracing::warn!(?fail, "{otherwise}");
    }
}

/// A job that the writer gives itself: nobody waits for its answer.
struct Own<F> {
    work: F,
    refused: Option<store_core::Error>,
}

impl<F: FnMut(&mut Write<'_>) -> Result<(), Fail> + Send> Job for Own<F> {
    fn lane(&self) -> crate::engine::job::Lane {
        crate::engine::job::Lane::Ordinary
    }

    fn run(&mut self, write: &mut Write<'_>) -> Result<(), Fail> {
        (self.work)(write)
    }

    fn refuse(&mut self, error: store_core::Error) {
        self.refused = Some(error);
    }

    fn answer(self: Box<Self>) {}
}

impl Writer {
    /// Runs `work` in a transaction of its own, now.
    pub(crate) fn commit_now(
        &mut self,
        work: impl FnMut(&mut Write<'_>) -> Result<(), Fail> + Send,
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
}
