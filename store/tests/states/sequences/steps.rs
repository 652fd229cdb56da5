//! The steps of a sequence, and how they are drawn.

use proptest::prelude::*;
use store::model::{EffectClass, ExecutionStatus};
use store::state::Knowledge;
use store::state::Knowledge::{Executed, NotExecuted, Unknown};

/// How an execution is claimed: through the API, or through the proxy as this class.
#[derive(Debug, Clone, Copy)]
pub(super) enum Via {
    Api,
    Proxy(EffectClass),
}

/// What a caller does. `back`: with the lease or retry token of this many attempts ago.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Claims the execution. `with_token`: the API asks for a lease, the proxy sends a retry token.
    /// `strict`: the proxy claims it as `once`, which must not be repeated.
    Claim {
        with_token: bool,
        back: usize,
        strict: bool,
    },
    Update(ExecutionStatus),
    Finish {
        back: usize,
        outcome: Knowledge,
        tool_error: bool,
    },
    Abandon,
    Extend {
        back: usize,
    },
    Redeem {
        back: usize,
    },
    Verdict {
        newest: bool,
        executed: bool,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Sequence {
    pub(super) via: Via,
    pub(super) before: Vec<Step>,
    /// After a restart.
    pub(super) after: Vec<Step>,
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = || prop::sample::select(vec![Executed, NotExecuted, Unknown]);
    let back = || 0..2_usize;
    prop_oneof![
        5 => (any::<bool>(), back(), any::<bool>())
            .prop_map(|(with_token, back, strict)| Step::Claim { with_token, back, strict }),
        2 => prop::sample::select(ExecutionStatus::ALL.to_vec()).prop_map(Step::Update),
        4 => (back(), outcome(), any::<bool>())
            .prop_map(|(back, outcome, tool_error)| Step::Finish { back, outcome, tool_error }),
        1 => Just(Step::Abandon),
        2 => back().prop_map(|back| Step::Extend { back }),
        2 => back().prop_map(|back| Step::Redeem { back }),
        2 => (prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(newest, executed)| Step::Verdict { newest, executed }),
    ]
}

pub(super) fn sequence() -> impl Strategy<Value = Sequence> {
    let via = prop_oneof![
        2 => Just(Via::Api),
        1 => Just(Via::Proxy(EffectClass::Once)),
        2 => Just(Via::Proxy(EffectClass::Idempotent)),
        1 => Just(Via::Proxy(EffectClass::Keyed)),
    ];
    let steps = || prop::collection::vec(step(), 1..6);
    (via, steps(), steps()).prop_map(|(via, before, after)| Sequence { via, before, after })
}
