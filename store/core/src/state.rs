//! The states of an execution and the one function that knows how they follow each other.
//!
//! SQL writes only what [`next`] returned; docs/TRANSACTIONS.md prints its table.

pub use crate::model::Knowledge;
use crate::model::{EffectClass, ExecutionStatus};

/// The state of an execution. Each variant holds only the data that exists in that state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Recorded by v0.1's methods and not started. Never leased.
    Pending,
    /// Started by v0.1's `update_tool_execution`. Never leased.
    Working,
    /// Claimed: somebody holds the lease of `attempt`.
    Running {
        /// From 1.
        attempt: u32,
        /// The join of the earlier attempts that are not settled.
        prior: Knowledge,
    },
    /// The effect took place and the tool did not call it an error.
    Completed {
        /// 0 where it was never leased.
        attempt: u32,
        /// Decided by a person, without evidence from the attempt itself.
        decided: bool,
    },
    /// Ended without success; `known` says whether the effect took place.
    Failed {
        /// 0 where it was never leased.
        attempt: u32,
        /// `Unknown` only for the class `idempotent`.
        known: Knowledge,
        /// Decided by a person.
        decided: bool,
    },
    /// Cancelled before it started. Never leased.
    Cancelled,
    /// It may have taken effect. Only evidence or a recorded decision ends this state.
    InDoubt {
        /// The newest attempt.
        attempt: u32,
        /// The join of the earlier attempts that are not settled.
        prior: Knowledge,
        /// A retry token was redeemed: the next identical call runs.
        released: bool,
    },
}

/// What happens to an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// v0.1's `update_tool_execution` sets a status.
    Set(ExecutionStatus),
    /// A new attempt is claimed.
    Claim,
    /// The holder of `attempt` reports its outcome for the first time.
    Finish {
        /// The attempt of the lease.
        attempt: u32,
        /// The reported outcome.
        outcome: Knowledge,
        /// The tool ran and returned an error.
        tool_error: bool,
    },
    /// Nobody will report the outcome of the running attempt: its lease expired, or the engine crashed.
    Lost,
    /// Nobody knows whether it ran, and the rules no longer allow it to be repeated.
    Doubt,
    /// The holder of `attempt` is still alive.
    Extend {
        /// The attempt of the lease.
        attempt: u32,
    },
    /// A retry token for `attempt` is redeemed.
    Release {
        /// The attempt that the token names.
        attempt: u32,
    },
    /// A person decides the outcome of every attempt up to `attempt`.
    Verdict {
        /// The attempt that the person looked at.
        attempt: u32,
        /// It ran, or it did not.
        executed: bool,
    },
}

/// The state does not allow this event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an execution that is {} cannot take the step {event:?}", state.status())]
pub struct Illegal {
    /// The current state.
    pub state: State,
    /// The refused event.
    pub event: Event,
}

/// Returns the state after `event`, or why it is refused. Pure: equal arguments give equal results.
pub fn next(state: State, event: Event, class: EffectClass) -> Result<State, Illegal> {
    use Knowledge::{Executed, NotExecuted, Unknown};
    let illegal = Err(Illegal { state, event });
    let lost = |attempt, prior| match class {
        EffectClass::Idempotent => State::Failed { attempt, known: Unknown, decided: false },
        EffectClass::Once | EffectClass::Keyed => {
            State::InDoubt { attempt, prior, released: false }
        }
    };
    let executed = |attempt, tool_error| {
        if tool_error {
            State::Failed { attempt, known: Executed, decided: false }
        } else {
            State::Completed { attempt, decided: false }
        }
    };
    Ok(match (state, event) {
        (_, Event::Set(status)) => return set(state, status),

        // Claims. An attempt that a person or a token settled no longer counts as a prior one.
        (State::Failed { attempt, known: known @ (NotExecuted | Unknown), .. }, Event::Claim) => {
            State::Running { attempt: attempt + 1, prior: known }
        }
        (State::InDoubt { attempt, released: true, .. }, Event::Claim) => {
            State::Running { attempt: attempt + 1, prior: NotExecuted }
        }
        (State::InDoubt { attempt, released: false, .. }, Event::Claim)
            if class == EffectClass::Keyed =>
        {
            State::Running { attempt: attempt + 1, prior: Unknown }
        }

        // The holder reports the outcome in time …
        (State::Running { attempt, prior }, Event::Finish { attempt: of, outcome, tool_error })
            if of == attempt =>
        {
            match outcome {
                Executed => executed(attempt, tool_error),
                NotExecuted if prior == NotExecuted => {
                    State::Failed { attempt, known: NotExecuted, decided: false }
                }
                NotExecuted | Unknown => lost(attempt, prior),
            }
        }
        // … or late: evidence settles a doubt and overturns a decision; "unknown" adds nothing.
        (
            State::InDoubt { attempt, prior, released },
            Event::Finish { attempt: of, outcome, tool_error },
        ) if of == attempt => match outcome {
            Executed => executed(attempt, tool_error),
            NotExecuted if prior == NotExecuted => {
                State::Failed { attempt, known: NotExecuted, decided: false }
            }
            NotExecuted | Unknown => State::InDoubt { attempt, prior, released },
        },
        (
            State::Failed { attempt, .. } | State::Completed { attempt, .. },
            Event::Finish { attempt: of, outcome, tool_error },
        ) if of == attempt && attempt > 0 => match outcome {
            Executed => executed(attempt, tool_error),
            NotExecuted | Unknown => state,
        },

        (State::Running { attempt, prior }, Event::Lost) => lost(attempt, prior),

        // No more is known about the earlier attempts than about this one.
        (State::Failed { attempt, known: Unknown, .. }, Event::Doubt) => {
            State::InDoubt { attempt, prior: Unknown, released: false }
        }

        (State::Running { attempt, .. }, Event::Extend { attempt: of }) if of == attempt => state,
        (State::InDoubt { attempt, prior, released: false }, Event::Extend { attempt: of })
            if of == attempt =>
        {
            State::Running { attempt, prior }
        }

        (State::InDoubt { attempt, prior, .. }, Event::Release { attempt: of })
            if of == attempt =>
        {
            State::InDoubt { attempt, prior, released: true }
        }
        (State::InDoubt { attempt, .. }, Event::Verdict { attempt: of, executed })
            if of == attempt =>
        {
            if executed {
                State::Completed { attempt, decided: true }
            } else {
                State::Failed { attempt, known: NotExecuted, decided: true }
            }
        }
        _ => return illegal,
    })
}

/// v0.1's transitions: pending → running → final, or cancel. Setting the same status only updates other
/// fields.
fn set(state: State, status: ExecutionStatus) -> Result<State, Illegal> {
    use ExecutionStatus as S;
    Ok(match (state, status) {
        (State::Pending, S::Pending) => State::Pending,
        (State::Pending | State::Working, S::Running) => State::Working,
        (State::Pending | State::Working | State::Cancelled, S::Cancelled) => State::Cancelled,
        (State::Pending | State::Working | State::Completed { attempt: 0, .. }, S::Completed) => {
            State::Completed { attempt: 0, decided: false }
        }
        (State::Pending | State::Working | State::Failed { attempt: 0, .. }, S::Failed) => {
            State::Failed { attempt: 0, known: Knowledge::Executed, decided: false }
        }
        _ => {
            return Err(Illegal { state, event: Event::Set(status) });
        }
    })
}

impl State {
    /// The word on the wire.
    pub const fn status(self) -> ExecutionStatus {
        match self {
            Self::Pending => ExecutionStatus::Pending,
            Self::Working | Self::Running { .. } => ExecutionStatus::Running,
            Self::Completed { .. } => ExecutionStatus::Completed,
            Self::Failed { .. } => ExecutionStatus::Failed,
            Self::Cancelled => ExecutionStatus::Cancelled,
            Self::InDoubt { .. } => ExecutionStatus::InDoubt,
        }
    }

    /// Whether it is neither running nor in doubt. A key's window starts here.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed { .. } | Self::Failed { .. } | Self::Cancelled)
    }

    /// The newest attempt; 0 where it was never leased.
    pub const fn attempt(self) -> u32 {
        match self {
            Self::Pending | Self::Working | Self::Cancelled => 0,
            Self::Running { attempt, .. }
            | Self::Completed { attempt, .. }
            | Self::Failed { attempt, .. }
            | Self::InDoubt { attempt, .. } => attempt,
        }
    }

    /// What is known about the effect; `None` while it has not ended.
    pub const fn outcome(self) -> Option<Knowledge> {
        match self {
            Self::Pending | Self::Working | Self::Running { .. } | Self::Cancelled => None,
            Self::Completed { .. } => Some(Knowledge::Executed),
            Self::Failed { known, .. } => Some(known),
            Self::InDoubt { .. } => Some(Knowledge::Unknown),
        }
    }
}
