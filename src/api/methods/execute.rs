use std::sync::Arc;

use serde::{Deserialize, Serialize};
use store::call::{ApiClaim, ExecuteOptions, Executed};
use store::decision::Decision;
use store::model::{Execution, ExecutionStatus, Json, ToolCall};
use uuid::Uuid;

use super::registrar::{Context, Registrar};
use crate::api::error::Error;
use crate::api::params::{self, Name, NameOrEmpty};

pub(super) fn register(to: &mut Registrar) {
    to.write("execute_tool_idempotent", execute_tool_idempotent);
}

#[derive(Deserialize)]
struct ExecuteToolIdempotent {
    user_id: Uuid,
    session_id: Uuid,
    goal_id: Uuid,
    tool_name: Name,
    tool_input: Json,
    idempotency_key: Option<NameOrEmpty>,
    lease: Option<bool>,
    lease_ms: Option<u64>,
    wait_ms: Option<u64>,
    claim_id: Option<Name>,
    on_mismatch: Option<OnMismatch>,
}

/// The answer to a different input under the same key.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum OnMismatch {
    /// The stored execution, marked.
    Return,
    /// `KEY_REUSE`.
    Error,
}

/// The execution, with the fields that v0.1 did not have.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "ExecutedTool"))]
pub(crate) struct ExecutedAnswer {
    #[serde(flatten)]
    execution: Execution,
    duplicate: bool,
    input_mismatch: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(type = "Claim", optional))]
    claim: Option<LeaseClaim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    lease: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(type = "BusyReason", optional))]
    reason: Option<BusyReason>,
    /// Of the caller that runs it, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    lease_left_ms: Option<u64>,
}

/// The result of a call that requested a lease.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum LeaseClaim {
    Execute,
    Replay,
    Busy,
    InDoubt,
}

/// Who runs a busy call.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum BusyReason {
    Leased,
    Unleased,
}

impl From<Executed> for ExecutedAnswer {
    fn from(executed: Executed) -> Self {
        let Executed { execution, duplicate, input_mismatch, claim, lease_left } = executed;
        let lease_left_ms = lease_left.map(|left| left.as_millis() as u64);
        let (claim, lease, reason) = match claim {
            None => (None, None, None),
            Some(ApiClaim::Execute { lease }) => (Some(LeaseClaim::Execute), Some(lease), None),
            Some(ApiClaim::Replay) => (Some(LeaseClaim::Replay), None, None),
            Some(ApiClaim::Busy { leased }) => {
                let reason = if leased { BusyReason::Leased } else { BusyReason::Unleased };
                (Some(LeaseClaim::Busy), None, Some(reason))
            }
            Some(ApiClaim::InDoubt) => (Some(LeaseClaim::InDoubt), None, None),
        };
        Self { execution, duplicate, input_mismatch, claim, lease, reason, lease_left_ms }
    }
}

async fn execute_tool_idempotent(
    context: Arc<Context>,
    params: ExecuteToolIdempotent,
) -> Result<ExecutedAnswer, Error> {
    let options = ExecuteOptions {
        idempotency_key: params.idempotency_key.map(|key| key.0),
        lease: match params.lease {
            Some(true) => Some(params::lease_ttl(params.lease_ms)?),
            Some(false) | None => None,
        },
        claim_id: params.claim_id.map(|id| id.0),
        wait: params::wait("wait_ms", params.wait_ms.unwrap_or(0))?,
        refuse_mismatch: params.on_mismatch == Some(OnMismatch::Error),
    };
    let call = ToolCall {
        user_id: params.user_id,
        session_id: params.session_id,
        goal_id: params.goal_id,
        tool_name: params.tool_name.0,
        tool_input: params.tool_input,
    };
    let executed = context.store.execute(call, options).await?;
    if let Some(answered) = duplicate_answer(&executed) {
        context.store.duplicate(executed.execution.id, answered);
    }
    context.metrics.record_tool_call(None);
    Ok(executed.into())
}

/// How a duplicate was answered; `None` for a call that may run. Nobody knows who runs an unleased
/// call of v0.1, so a caller that finds it pending is not counted.
fn duplicate_answer(executed: &Executed) -> Option<Decision> {
    match (&executed.claim, executed.execution.status) {
        _ if !executed.duplicate => None,
        (Some(ApiClaim::Execute { .. }), _) | (None, ExecutionStatus::Pending) => None,
        (Some(ApiClaim::Busy { .. }), _) => Some(Decision::InProgress),
        (Some(ApiClaim::InDoubt), _) => Some(Decision::InDoubt),
        (Some(ApiClaim::Replay) | None, _) => Some(Decision::Replayed),
    }
}

#[cfg(test)]
mod tests {
    use store::model::{EffectClass, Origin, Timestamp};

    use super::*;

    #[test]
    fn added_fields_leave_the_stored_text_alone() {
        let input = r#"{ "n":123456789012345678901234567890, "n":1.00000000000000000001 }"#;
        let now = Timestamp::from_micros(0);
        let id = Uuid::from_u128(1);
        let execution = Execution {
            id,
            goal_id: id,
            session_id: id,
            user_id: id,
            tool_name: "t".to_owned(),
            tool_input: Json::parse(input).unwrap(),
            status: ExecutionStatus::Running,
            output: None,
            error: None,
            idempotency_key: Some("k".to_owned()),
            started_at: Some(now),
            completed_at: None,
            created_at: now,
            updated_at: now,
            attempt: 1,
            outcome: None,
            origin: Origin::Api,
            effect: EffectClass::Once,
            leased: true,
            rule: None,
        };
        let answer = |claim| {
            let executed = Executed {
                execution: execution.clone(),
                duplicate: true,
                input_mismatch: false,
                claim,
                lease_left: None,
            };
            serde_json::to_string(&ExecutedAnswer::from(executed)).unwrap()
        };
        let plain = answer(None);
        assert!(plain.contains(&format!(r#""tool_input":{input},"#)), "{plain}");
        assert!(plain.ends_with(r#""duplicate":true,"input_mismatch":false}"#), "{plain}");
        let table = [
            (ApiClaim::Execute { lease: "L".to_owned() }, r#""claim":"execute","lease":"L"}"#),
            (ApiClaim::Replay, r#""claim":"replay"}"#),
            (ApiClaim::Busy { leased: true }, r#""claim":"busy","reason":"leased"}"#),
            (ApiClaim::Busy { leased: false }, r#""claim":"busy","reason":"unleased"}"#),
            (ApiClaim::InDoubt, r#""claim":"in_doubt"}"#),
        ];
        for (claim, end) in table {
            let text = answer(Some(claim));
            assert!(text.ends_with(end), "{text}");
        }
    }
}
