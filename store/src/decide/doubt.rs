//! Calls that may have taken effect: which calls they hold back, and how a doubt is released.

use store_core::Error;
use store_core::call::{Call, Doubt};
use store_core::model::{Actor, EffectClass, EventKind, Timestamp};
use store_core::state::{self, Event, State};
use uuid::Uuid;

use crate::decide::brief::Brief;
use crate::decide::context::Context;
use crate::decide::event::Detail;
use crate::decide::plan::{Decision, Plan};
use crate::decide::upstream_key;

/// Whether a call is held back by one that may have had the same effect.
pub(super) fn guards(call: &Call) -> bool {
    call.class != EffectClass::Idempotent
}

/// Whether it was claimed with the same credentials.
pub(super) fn is_own(execution: &Brief, call: &Call) -> bool {
    execution.principal == Some(call.digests.principal.short())
}

/// Whether the upstream itself still recognizes a repeat: class `keyed`, the same key in the same place, and
/// within its lifetime.
pub(super) fn upstream_still_knows(now: Timestamp, execution: &Brief, call: &Call) -> bool {
    let Some(key) = &call.upstream_key else { return false };
    let sent = execution.first_sent_at.or(execution.started_at);
    execution.class == EffectClass::Keyed
        && execution
            .upstream_key
            .as_ref()
            .is_some_and(|stored| upstream_key::is_of(stored, &key.source))
        && sent.is_some_and(|sent| now < sent.plus(key.lifetime))
}

/// Puts the execution in doubt, if it is not yet.
pub(super) fn enter(plan: &mut Plan<'_>, execution: &mut Brief) -> Result<(), Error> {
    if !matches!(execution.state, State::InDoubt { .. }) {
        let next = state::next(execution.state, Event::Doubt, execution.class)?;
        plan.step(execution.state, next);
        let why = Some("by its rule of today it may not be repeated");
        let detail = Detail { why, ..Detail::default() };
        plan.log(EventKind::Doubted, next, Actor::Engine, detail);
        execution.state = next;
    }
    Ok(())
}

/// Releases a doubt: the next identical call runs.
pub(super) fn release(plan: &mut Plan<'_>, execution: &Brief, attempt: u32) -> Result<(), Error> {
    let next = state::next(execution.state, Event::Release { attempt }, execution.class)?;
    if next != execution.state {
        plan.step(execution.state, next);
        let detail = Detail { why: Some("retry token redeemed"), ..Detail::default() };
        plan.log(EventKind::Released, next, Actor::Client, detail);
    }
    Ok(())
}

/// Describes an execution in doubt for its callers, with a retry token for its own principal.
pub(super) fn of(execution: &Brief, attempt: u32, context: &Context<'_>) -> Doubt {
    Doubt {
        execution_id: execution.id,
        attempt,
        sent_at: execution.sent_at.or(execution.started_at).unwrap_or(context.now),
        last_event: execution.last_event.clone().unwrap_or_else(|| "claimed".to_owned()),
        same_content: false,
        retry_token: Some(context.secret.retry_token(execution.id, attempt, context.now)),
    }
}

/// First step: the execution and attempt that a retry token names. [`redeem`] needs the execution.
pub(crate) fn named_by(token: &str, context: &Context<'_>) -> Result<(Uuid, u32), Error> {
    context
        .secret
        .read_retry_token(token, context.now)
        .ok_or_else(|| Error::Stale("the retry token is not valid, or has expired".to_owned()))
}

/// Last step: redeems a retry token for `attempt`. Repeating it changes nothing.
pub(crate) fn redeem(execution: &Brief, attempt: u32) -> Result<Decision<'static, Uuid>, Error> {
    match execution.state {
        State::InDoubt { attempt: at, .. } if at == attempt => {
            let mut plan = Plan::about(execution);
            release(&mut plan, execution, attempt)?;
            Ok(Decision::new(execution.id, plan))
        }
        _ => Err(Error::Stale("the retry token was used, or the doubt is settled".to_owned())),
    }
}
