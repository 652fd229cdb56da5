//! Which of several identical calls a request means, for rules with `repeat = "delivered"`
//! (docs/SEMANTICS.md, "Which execution a request means").

use store_core::model::{Actor, EventKind};
use store_core::state::State;

use crate::decide::brief::Brief;
use crate::decide::event::{Detail, NewEvent};

/// What is recorded of a run of the agent that asked before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// How many calls there were when it first asked.
    pub(crate) known: u32,
    /// The call that its newest request meant, from 1.
    pub(crate) ordinal: u32,
    /// The answer to that was delivered.
    pub(crate) delivered: bool,
}

/// The call that a request means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meant {
    /// The one that its run asked for last.
    Same(u32),
    /// Another one, which is to be recorded.
    Next { known: u32, ordinal: u32 },
}

/// `last` is how many identical calls there are over all runs.
pub(crate) const fn meant(last: u32, run: Option<Asked>) -> Meant {
    match run {
        Some(Asked { ordinal, delivered: false, .. }) => Meant::Same(ordinal),
        Some(Asked { known, ordinal, .. }) if ordinal < known => {
            Meant::Next { known, ordinal: ordinal + 1 }
        }
        Some(Asked { known, .. }) => Meant::Next { known, ordinal: last + 1 },
        // What was called before the rule, or before it knew runs, is the first.
        None => Meant::Next { known: last, ordinal: 1 },
    }
}

/// Whether a delivered answer counts: the call is known to have run.
pub(crate) const fn counts(holder: &Brief) -> bool {
    matches!(holder.state, State::Completed { .. })
}

/// The answer of this execution was delivered to a run of the agent.
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
        let asked = |known, ordinal, delivered| Some(Asked { known, ordinal, delivered });
        assert_eq!(meant(2, None), Meant::Next { known: 2, ordinal: 1 });
        assert_eq!(meant(2, asked(2, 1, false)), Meant::Same(1));
        assert_eq!(meant(2, asked(2, 1, true)), Meant::Next { known: 2, ordinal: 2 });
        assert_eq!(meant(2, asked(2, 2, true)), Meant::Next { known: 2, ordinal: 3 });
        assert_eq!(meant(5, asked(2, 3, true)), Meant::Next { known: 2, ordinal: 6 });
    }
}
