//! The right to execute: made by a claim, consumed by a finish, never copied.

use uuid::Uuid;

use crate::call::Finish;
use crate::sqlite::WriterHandle;
use crate::state::Knowledge;

/// What a claimer holds while it executes: (execution, attempt). Only a claim makes one.
///
/// It is handed on, and never copied:
///
/// ```
/// fn hand_on(lease: store::Lease) -> store::Lease {
///     lease
/// }
/// ```
///
/// ```compile_fail
/// fn copy(lease: &store::Lease) -> store::Lease {
///     lease.clone()
/// }
/// ```
///
/// Dropped unfinished, it records the outcome as unknown: whoever held it may have acted. One that was
/// never granted, since its claim was rolled back, records nothing: another may hold the same attempt.
#[derive(Debug)]
pub struct Lease {
    execution_id: Uuid,
    attempt: u32,
    key_text: Option<String>,
    /// Where its end is recorded; `None` before it is granted.
    writer: Option<WriterHandle>,
}

impl Lease {
    /// Not granted yet.
    pub(crate) fn new(execution_id: Uuid, attempt: u32, key_text: Option<String>) -> Self {
        Self { execution_id, attempt, key_text, writer: None }
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

/// The end of an attempt of which nobody will tell more.
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
