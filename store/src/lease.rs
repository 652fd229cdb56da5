//! The right to execute: granted by a claim, consumed by a finish, never copied.

use store_core::call::Finish;
use store_core::state::Knowledge;
use uuid::Uuid;

use crate::decide::claim::Granted;
use crate::engine::job::WriterHandle;

/// The right to execute one attempt of an execution. Only a claim grants it.
///
/// If it is dropped unfinished, the outcome is recorded as unknown: its holder may have acted. A lease that was
/// never granted, because its claim was rolled back, records nothing: another holder may have the same attempt.
///
/// It cannot be cloned:
///
/// ```compile_fail,E0599
/// fn share(lease: store::Lease) -> (store::Lease, store::Lease) {
///     (lease.clone(), lease)
/// }
/// ```
///
/// And it can be finished only once:
///
/// ```compile_fail,E0382
/// async fn finish(store: store::Store, lease: store::Lease, finish: store::call::Finish) {
///     store.finish(lease, finish.clone()).await.unwrap();
///     store.finish(lease, finish).await.unwrap();
/// }
/// ```
#[derive(Debug)]
pub struct Lease {
    execution_id: Uuid,
    attempt: u32,
    key_attempt: u32,
    key_text: Option<String>,
    /// Where its end is recorded; `None` until it is granted.
    writer: Option<WriterHandle>,
}

/// The right to report an attempt's answer after its end, which settles a doubt. See
/// [`Store::finish_late`](crate::Store::finish_late).
#[derive(Debug)]
pub struct LateReport {
    pub(crate) execution_id: Uuid,
    pub(crate) attempt: u32,
}

impl Lease {
    /// Not granted yet.
    pub(crate) fn new(granted: Granted) -> Self {
        let Granted { execution_id, attempt, key_attempt, key_text } = granted;
        Self { execution_id, attempt, key_attempt, key_text, writer: None }
    }

    /// The claim is on disk.
    pub(crate) fn granted(mut self, writer: WriterHandle) -> Self {
        self.writer = Some(writer);
        self
    }

    /// The execution.
    pub fn execution_id(&self) -> Uuid {
        self.execution_id
    }

    /// The attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The attempt that began to use the key which the upstream gets, if that is the engine's own: the same
    /// after an unknown outcome, another after a settled *not executed*.
    pub fn key_attempt(&self) -> u32 {
        self.key_attempt
    }

    /// Lets an answer be reported that comes after the attempt was finished as of unknown outcome.
    pub fn late_report(&self) -> LateReport {
        LateReport { execution_id: self.execution_id, attempt: self.attempt }
    }

    /// The key that the execution was claimed under.
    pub fn key_text(&self) -> Option<&str> {
        self.key_text.as_deref()
    }

    /// Takes the lease apart, so that dropping it records nothing.
    pub(crate) fn consume(mut self) -> Option<WriterHandle> {
        self.writer.take()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            let finish = unknown("the call was abandoned inside the engine", "abandoned");
            writer.finish_dropped(self.execution_id, self.attempt, finish);
        }
    }
}

/// The outcome of an attempt of which nobody will report more.
pub(crate) fn unknown(error: &str, last_event: &str) -> Finish {
    Finish {
        outcome: Knowledge::Unknown,
        tool_error: false,
        answer: None,
        error: Some(error.to_owned()),
        problem: None,
        sent_at: None,
        first_byte_at: None,
        last_event: last_event.to_owned(),
    }
}
