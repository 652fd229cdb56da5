//! Which of several identical calls a request means, for rules with `repeat = "delivered"`
//! (docs/SEMANTICS.md, "Which execution a request means").

use store_core::model::{Actor, EventKind};
use store_core::state::State;

use crate::decide::brief::Brief;
use crate::decide::event::{Detail, NewEvent};

/// The record of a run of the agent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunRecord {
    /// How many calls there were at its first request.
    pub(crate) known: u32,
    /// The call that its last request meant, from 1.
    pub(crate) ordinal: u32,
    /// The answer of that call was delivered.
    pub(crate) delivered: bool,
}

/// The call that a request means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meant {
    /// The same as the last request of its run.
    Same(u32),
    /// The next one, which is to be recorded.
    Next { known: u32, ordinal: u32 },
}

/// Decides which call a request means. `last`: the number of identical calls of all runs.
pub(crate) const fn meant(last: u32, run: Option<RunRecord>) -> Meant {
    match run {
        Some(RunRecord { ordinal, delivered: false, .. }) => Meant::Same(ordinal),
        Some(RunRecord { known, ordinal, .. }) if ordinal < known => {
            Meant::Next { known, ordinal: ordinal + 1 }
        }
        Some(RunRecord { known, .. }) => Meant::Next { known, ordinal: last + 1 },
        // Calls from before the rule, or before runs were recorded, count as the first.
        None => Meant::Next { known: last, ordinal: 1 },
    }
}

/// Whether the delivery of an answer counts: only if the call is known to have run.
pub(crate) const fn counts(holder: &Brief) -> bool {
    matches!(holder.state, State::Completed { .. })
}

/// The event of a delivery.
pub(crate) fn delivered(execution: &Brief, run: Option<&str>) -> NewEvent {
    let detail = Detail { run, ..Detail::default() };
    let attempt = execution.state.attempt();
    NewEvent::attempt(EventKind::Delivered, attempt, Actor::Proxy, &detail).of(execution.row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_answered_from_the_record_before_it_makes_calls_of_its_own() {
        let recorded = |known, ordinal, delivered| Some(RunRecord { known, ordinal, delivered });
        assert_eq!(meant(2, None), Meant::Next { known: 2, ordinal: 1 });
        assert_eq!(meant(2, recorded(2, 1, false)), Meant::Same(1));
        assert_eq!(meant(2, recorded(2, 1, true)), Meant::Next { known: 2, ordinal: 2 });
        assert_eq!(meant(2, recorded(2, 2, true)), Meant::Next { known: 2, ordinal: 3 });
        assert_eq!(meant(5, recorded(2, 3, true)), Meant::Next { known: 2, ordinal: 6 });
    }
}
