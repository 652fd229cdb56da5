//! What the writer does between groups: expired leases, parked outcomes, counts, retention.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use store_core::model::EventKind;
use uuid::Uuid;

use crate::decide::event::NewEvent;
use crate::engine::duplicates::DuplicateCounts;
use crate::engine::timer::Every;
use crate::engine::writer::Writer;
use crate::sqlite::error::{Fail, Severity, severity};
use crate::sqlite::transaction::Transaction;
use crate::sqlite::{claims, duplicates, executions, retention};

/// The end of a lease that could not be written is retried after this long.
const LEASE_RETRY: Duration = Duration::from_secs(1);

/// How many leases one transaction ends at most: others wait for it.
const LEASES: usize = 256;

/// The timers of housekeeping.
pub(crate) struct Housekeeping {
    every_second: Every,
    every_minute: Every,
    every_hour: Every,
    /// Where the hourly pass that drops old bodies continues; `None` when it is done.
    bodies_from: Option<i64>,
}

impl Default for Housekeeping {
    fn default() -> Self {
        Self {
            every_second: Every::new(Duration::from_secs(1)),
            every_minute: Every::new(Duration::from_secs(60)),
            every_hour: Every::at_once(Duration::from_secs(3_600)),
            bodies_from: None,
        }
    }
}

impl Housekeeping {
    /// Does what is due.
    pub(crate) fn run(&mut self, writer: &mut Writer) {
        end_leases(writer);
        if self.every_second.due() {
            writer.check_files();
            writer.keep_head_file();
            writer.watch.keep_lock_file();
            writer.finish_parked();
            self.drop_bodies(writer);
            flush_duplicates(writer, writer.status.duplicates.take_due());
            if writer.status.full.load(Ordering::Relaxed) {
                writer.restore_reserve();
            }
            writer.checkpoints.watch_size(&writer.status);
        }
        if self.every_minute.due() {
            flush_counts(writer);
            let age = Duration::from_micros(writer.undelivered_for.unsigned_abs());
            writer.caches.unconfirmed.forget(age);
            run_now(
                writer,
                "answers that did not arrive are remembered",
                claims::forget_undelivered,
            );
            run_now(writer, "ended sessions are looked through again", claims::settle_sessions);
        }
        if self.every_hour.due() {
            run_now(writer, "old events are kept for another hour", retention::prune_events);
            self.bodies_from = Some(0);
        }
    }

    /// Drops the old bodies of the next thousand answers; once a second, so that no caller waits long.
    fn drop_bodies(&mut self, writer: &mut Writer) {
        let Some(from) = self.bodies_from else { return };
        let mut next = None;
        run_now(writer, "old bodies are kept for another hour", |tx| {
            next = retention::drop_bodies(tx, from)?;
            Ok(())
        });
        self.bodies_from = next;
    }
}

/// Writes what is only in memory, before the writer stops.
pub(crate) fn flush(writer: &mut Writer) {
    flush_counts(writer);
    flush_duplicates(writer, writer.status.duplicates.take_all());
}

/// Ends the next expired leases, in one transaction. Callers of the writer come before the rest.
fn end_leases(writer: &mut Writer) {
    let expired = writer.memory.live.expired(Instant::now(), LEASES);
    if expired.is_empty() {
        return;
    }
    match end(writer, &expired) {
        Ok(()) => {}
        Err(Fail::Sql(error)) if severity(&error) != Severity::Statement => {
            writer.make_space(&error);
            let fail = Fail::Sql(error);
            for lease in expired {
                retry_later(writer, lease, &fail);
            }
        }
        // One that cannot be ended does not keep the others.
        Err(_) => {
            for lease in expired {
                if let Err(fail) = end(writer, &[lease]) {
                    retry_later(writer, lease, &fail);
                }
            }
        }
    }
}

fn retry_later(writer: &mut Writer, (row, attempt): (i64, u32), fail: &Fail) {
    tracing::warn!(?fail, "cannot end a lease");
    writer.memory.live.lease(row, attempt, LEASE_RETRY);
}

fn end(writer: &mut Writer, leases: &[(i64, u32)]) -> Result<(), Fail> {
    writer.commit_now(|tx| {
        leases.iter().try_for_each(|(row, attempt)| executions::expire(tx, *row, *attempt))
    })
}

#[derive(serde::Serialize)]
struct Minute<'a> {
    kind: &'a str,
    what: &'a str,
    count: u64,
}

/// Logs the counts of requests that passed without a record: a row for each kind.
fn flush_counts(writer: &mut Writer) {
    let counts = writer.status.take_counts();
    if counts.is_empty() {
        return;
    }
    run_now(writer, "a minute's counts are lost", move |tx| {
        for ((kind, what), count) in &counts {
            tx.event(NewEvent::engine(EventKind::Minute, &Minute { kind, what, count: *count }));
        }
        Ok(())
    });
}

/// Counts duplicates on their executions.
fn flush_duplicates(writer: &mut Writer, noted: Vec<(Uuid, DuplicateCounts)>) {
    if noted.is_empty() {
        return;
    }
    run_now(writer, "duplicates are not counted on their executions", move |tx| {
        noted.iter().try_for_each(|(id, noted)| duplicates::put(tx, *id, noted))
    });
}

/// Runs a job of the writer itself. A failure is logged, and left to the next time.
fn run_now(
    writer: &mut Writer,
    otherwise: &'static str,
    work: impl FnMut(&mut Transaction<'_>) -> Result<(), Fail> + Send,
) {
    if let Err(fail) = writer.commit_now(work) {
        tracing::warn!(?fail, "{otherwise}");
    }
}
