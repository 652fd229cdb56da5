//! Calls that hold back others with their content, under any key: which of them a call meets, and what it
//! gets. Those in doubt are in `doubt.rs`; here are those whose answer did not arrive.

use std::sync::Arc;

use store_core::call::{Answer, Call, Doubt, Undelivered};
use store_core::key::Digest;
use store_core::model::{Actor, EffectClass, EventKind, Timestamp};
use store_core::state::{Knowledge, State};

use crate::decide::brief::{Brief, Guard, Running};
use crate::decide::claim::ClaimAnswer;
use crate::decide::context::Context;
use crate::decide::event::Detail;
use crate::decide::execution::KeyRow;
use crate::decide::plan::{Change, Decision, Effect, Plan};
use crate::decide::{answer, doubt};

/// The execution that holds a call back, among those that have its content. A doubt comes first.
pub(super) fn same_call(
    guarding: Vec<Brief>,
    call: &Call,
    undelivered_since: Timestamp,
) -> Option<Brief> {
    let repeat = call.digests.repeat.as_ref().map(Digest::short);
    let holds = |hit: &Brief| match hit.guard {
        Some(Guard::Doubt | Guard::Outlived) => true,
        Some(Guard::Undelivered) => {
            call.undelivered != Undelivered::Run && is_remembered(hit, undelivered_since)
        }
        Some(Guard::Given) | None => false,
    };
    guarding
        .into_iter()
        .filter(|hit| (repeat.is_none() || repeat == hit.repeat) && holds(hit))
        .min_by_key(|hit| hit.guard != Some(Guard::Doubt))
}

fn is_remembered(hit: &Brief, since: Timestamp) -> bool {
    hit.ended_at.is_none_or(|ended| ended >= since)
}

/// Gives the answer that did not arrive, or lets the call wait for it. Its key names the execution from now
/// on.
pub(super) fn redeliver<'a>(
    hit: &Brief,
    stored: Option<Answer>,
    call: &'a Call,
) -> Decision<'a, ClaimAnswer> {
    let mut plan = Plan::about(hit);
    if let Some(key) = &call.key {
        let named_for = Some(call.digests.fingerprint.short());
        let key = KeyRow { named_for, ..KeyRow::first(key) };
        plan.change(Change::Key(key));
        let why = Some(match hit.guard {
            Some(Guard::Outlived) => "it runs in an earlier session of the same name",
            _ => "its answer did not arrive",
        });
        let detail = Detail { why, run: call.run.as_deref(), ..Detail::default() }.naming(key);
        plan.log_only(EventKind::Named, hit.state.attempt(), Actor::Proxy, &detail);
    }
    if hit.state.is_terminal() {
        plan.change(Change::Given);
        plan.effect(Effect::Given(hit.id));
        let settled = Arc::new(answer::settled(hit, stored));
        return Decision::new(ClaimAnswer::Undelivered(settled), plan);
    }
    Decision::new(ClaimAnswer::Busy(Running::of(hit)), plan)
}

/// What the caller of a call may know that is held back without a way to release it.
pub(super) fn doubt_of(hit: &Brief, context: &Context<'_>) -> Doubt {
    let why = match (hit.guard, hit.state) {
        (Some(Guard::Undelivered), _) => "its answer did not arrive",
        (Some(Guard::Outlived), _) => "it runs in an earlier session of the same name",
        (_, State::Running { .. }) => "another attempt is running",
        _ => "claimed",
    };
    Doubt {
        same_content: true,
        retry_token: None,
        last_event: why.to_owned(),
        ..doubt::of(hit, hit.state.attempt(), context)
    }
}

/// The answer of a call did not arrive, or its client left while it runs. `None`: that says nothing.
pub(crate) fn undelivered(execution: &Brief) -> Option<Plan<'static>> {
    let matters = match execution.state {
        State::Running { .. } => execution.guard.is_none(),
        // It arrived elsewhere, or it was so long ago that nobody retries, where there is no guard.
        State::Completed { .. } | State::Failed { known: Knowledge::Executed, .. } => {
            execution.guard == Some(Guard::Given)
        }
        _ => false,
    };
    if !matters || execution.class == EffectClass::Idempotent {
        return None;
    }
    let mut plan = Plan::about(execution);
    plan.change(Change::Undelivered);
    let attempt = execution.state.attempt();
    plan.log_only(EventKind::Undelivered, attempt, Actor::Proxy, &Detail::default());
    Some(plan)
}
