//! What is read before a decision: the execution, and the place of the call.

use store_core::model::{EffectClass, Timestamp};
use store_core::state::{Knowledge, State};
use uuid::Uuid;

use crate::clock::jumps::Jumps;

/// The columns of an execution that decisions need, and the window of the key by which it was found.
#[derive(Debug, Clone)]
pub(crate) struct Brief {
    pub(crate) row: i64,
    pub(crate) id: Uuid,
    pub(crate) session: i64,
    pub(crate) state: State,
    /// The outcome that the holder of the current lease has reported.
    pub(crate) reported: Option<Knowledge>,
    pub(crate) class: EffectClass,
    pub(crate) lease_ms: Option<i64>,
    pub(crate) claim_id: Option<[u8; 16]>,
    pub(crate) fingerprint: Option<[u8; 16]>,
    pub(crate) principal: Option<[u8; 16]>,
    pub(crate) repeat: Option<[u8; 16]>,
    pub(crate) last_event: Option<String>,
    pub(crate) first_sent_at: Option<Timestamp>,
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) error: Option<String>,
    pub(crate) upstream_key: Option<String>,
    pub(crate) content: Option<[u8; 16]>,
    /// Whether it holds back other calls with its content.
    pub(crate) guard: Option<Guard>,
    /// In microseconds. `None`: forever, or it was not found by a key.
    pub(crate) window: Option<i64>,
    /// The fingerprint of the calls with the key by which it was found, if the key is a further name of it.
    pub(crate) named_for: Option<[u8; 16]>,
}

/// Why an execution holds back other calls with its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The outcome of an attempt is unknown, and not settled.
    Doubt,
    /// Its answer was given, and it is not known yet whether it arrived. Holds nothing back.
    Given,
    /// Its answer did not arrive, or its client left while it runs.
    Undelivered,
    /// It runs in an ended session, and the call is of the next session of that name. Never stored.
    Outlived,
}

impl Guard {
    pub(crate) const fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::Doubt,
            2 => Self::Given,
            3 => Self::Undelivered,
            _ => return None,
        })
    }
}

impl Brief {
    /// When the key by which it was found is free again, if the clock does not jump until then. `None`: never,
    /// or not before it is terminal.
    pub(crate) fn free_at(&self, jumps: &Jumps) -> Option<Timestamp> {
        let (window, ended) = self.window.zip(self.ended_at)?;
        self.state.is_terminal().then(|| jumps.end(ended, window))
    }

    /// Whether the key by which it was found is free again.
    pub(crate) fn is_free(&self, now: Timestamp, jumps: &Jumps) -> bool {
        self.free_at(jumps).is_some_and(|free| now >= free)
    }
}

/// The row numbers of a user, a session and a goal that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) user: i64,
    pub(crate) session: i64,
    pub(crate) goal: i64,
    pub(crate) session_created: Timestamp,
}

/// A running attempt, to be waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    pub(crate) execution_id: Uuid,
    pub(crate) row: i64,
    pub(crate) attempt: u32,
    pub(crate) started_at: Option<Timestamp>,
}

impl Running {
    pub(crate) fn of(execution: &Brief) -> Self {
        Self {
            execution_id: execution.id,
            row: execution.row,
            attempt: execution.state.attempt(),
            started_at: execution.started_at,
        }
    }
}
