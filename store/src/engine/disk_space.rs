//! What the writer does without disk space, or while another program uses the database: new calls are refused,
//! and outcomes are parked until they are written.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::engine::job::{Job, refuse_sql};
use crate::engine::writer::Writer;
use crate::sqlite::error::{Severity, severity};

/// How long the caller of an outcome waits for disk space …
const SPACE_TIMEOUT: Duration = Duration::from_secs(3);
/// … or for another program that is using the database.
const OTHERS_TIMEOUT: Duration = Duration::from_secs(30);

impl Writer {
    /// Retries the parked outcomes.
    pub(crate) fn finish_parked(&mut self) {
        let parked = std::mem::take(&mut self.parked);
        if !parked.is_empty() {
            self.commit_group(parked);
        }
        self.status.stalled.store(!self.parked.is_empty(), Ordering::Relaxed);
    }

    /// If the disk is full: refuses new calls from now on, and releases the reserve for outcomes. Space that only
    /// the log has taken is given back, and may be all that was missing. False: it is not that.
    pub(crate) fn make_space(&mut self, error: &rusqlite::Error) -> bool {
        if severity(error) != Severity::Full {
            return false;
        }
        let was_full = self.status.full.swap(true, Ordering::Relaxed);
        self.reserve.release(&self.conn);
        if !was_full && !self.reserve.is_page_limit() {
            self.restore_reserve();
        }
        true
    }

    /// Accepts new calls again once there is space for the reserve, and some more.
    pub(crate) fn restore_reserve(&mut self) {
        if !self.reserve.has_space(&self.conn) {
            return;
        }
        self.checkpoints.shrink(&self.conn);
        if self.reserve.create(&self.conn).is_ok() && self.reserve.leaves_space() {
            tracing::info!("there is disk space again: new calls are accepted");
            self.status.full.store(false, Ordering::Relaxed);
        }
    }

    /// Refuses a job that can be repeated. An outcome is parked instead, and housekeeping retries it.
    pub(super) fn postpone(&mut self, mut job: Box<dyn Job>, error: &rusqlite::Error) {
        if job.lane().is_outcome() && severity(error) != Severity::Statement {
            let full = severity(error) == Severity::Full;
            job.park(if full { SPACE_TIMEOUT } else { OTHERS_TIMEOUT });
            self.parked.push(job);
            return;
        }
        refuse_sql(job.as_mut(), error);
        job.answer();
    }
}
