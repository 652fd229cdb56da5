use std::sync::Arc;

use serde::{Deserialize, Serialize};
use store::call::{ApiClaim, ExecuteOptions, Executed};
use store::decision::Decision;
use store::model::{
    Execution, ExecutionFilter, ExecutionStatus, ExecutionUpdate, Json, Origin, Page, Timestamp,
    ToolCall,
};
use uuid::Uuid;

use super::{Context, Registrar};
use crate::api::error::Error;
use crate::api::params::{self, Name};

pub(super) fn register(to: &mut Registrar) {
    to.write("create_tool_execution", create_tool_execution);
    to.write("execute_tool_idempotent", execute_tool_idempotent);
    to.read("get_tool_execution", get_tool_execution);
    to.read("find_by_idempotency_key", find_by_idempotency_key);
    to.write("update_tool_execution", update_tool_execution);
    to.read("list_tool_executions", list_tool_executions);
    to.read("list_session_executions", list_session_executions);
    to.read("list_executions", list_executions);
}

#[derive(Deserialize)]
struct CreateToolExecution {
    user_id: Uuid,
    session_id: Uuid,
    goal_id: Uuid,
    tool_name: Name,
    tool_input: Json,
}

async fn create_tool_execution(
    context: Arc<Context>,
    params: CreateToolExecution,
) -> Result<Execution, Error> {
    let CreateToolExecution { user_id, session_id, goal_id, tool_name, tool_input } = params;
    let call = ToolCall { user_id, session_id, goal_id, tool_name: tool_name.0, tool_input };
    let execution = context.store.create_tool_execution(call).await?;
    context.metrics.tool_call(None);
    Ok(execution)
}

#[derive(Deserialize)]
struct ExecuteToolIdempotent {
    user_id: Uuid,
    session_id: Uuid,
    goal_id: Uuid,
    tool_name: Name,
    tool_input: Json,
    idempotency_key: Option<Name>,
    lease: Option<bool>,
    lease_ms: Option<u64>,
    wait_ms: Option<u64>,
    claim_id: Option<Name>,
    on_mismatch: Option<OnMismatch>,
}

/// What another input under the same key gets.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum OnMismatch {
    /// The stored execution, marked.
    Return,
    /// `KEY_REUSE`.
    Error,
}

/// The execution, with what v0.1 did not tell.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "ExecutedTool"))]
pub(crate) struct ExecutedAnswer {
    #[serde(flatten)]
    execution: Execution,
    duplicate: bool,
    input_mismatch: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(type = "Claim", optional))]
    claim: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    lease: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(type = "BusyReason", optional))]
    reason: Option<&'static str>,
}

impl From<Executed> for ExecutedAnswer {
    fn from(executed: Executed) -> Self {
        let Executed { execution, duplicate, input_mismatch, claim } = executed;
        let (claim, lease, reason) = match claim {
            None => (None, None, None),
            Some(ApiClaim::Execute { lease }) => (Some("execute"), Some(lease), None),
            Some(ApiClaim::Replay) => (Some("replay"), None, None),
            Some(ApiClaim::Busy { leased: true }) => (Some("busy"), None, Some("leased")),
            Some(ApiClaim::Busy { leased: false }) => (Some("busy"), None, Some("unleased")),
            Some(ApiClaim::InDoubt) => (Some("in_doubt"), None, None),
        };
        Self { execution, duplicate, input_mismatch, claim, lease, reason }
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
    if let Some(answered) = stopped(&executed) {
        context.store.duplicate(executed.execution.id, answered);
    }
    context.metrics.tool_call(None);
    Ok(executed.into())
}

/// How a duplicate was answered; `None` for a call that may run. Of v0.1's unleased calls nobody
/// knows who runs them: whoever finds the execution pending is not counted.
fn stopped(executed: &Executed) -> Option<Decision> {
    match (&executed.claim, executed.execution.status) {
        _ if !executed.duplicate => None,
        (Some(ApiClaim::Execute { .. }), _) | (None, ExecutionStatus::Pending) => None,
        (Some(ApiClaim::Busy { .. }), _) => Some(Decision::InProgress),
        (Some(ApiClaim::InDoubt), _) => Some(Decision::InDoubt),
        (Some(ApiClaim::Replay) | None, _) => Some(Decision::Replayed),
    }
}

#[derive(Deserialize)]
struct GetToolExecution {
    id: Uuid,
}

async fn get_tool_execution(
    context: Arc<Context>,
    params: GetToolExecution,
) -> Result<Execution, Error> {
    Ok(context.store.reader().execution(params.id)?)
}

#[derive(Deserialize)]
struct FindByIdempotencyKey {
    key: Name,
    user_id: Option<Uuid>,
}

async fn find_by_idempotency_key(
    context: Arc<Context>,
    params: FindByIdempotencyKey,
) -> Result<Option<Execution>, Error> {
    Ok(context.store.reader().execution_by_key(&params.key.0, params.user_id)?)
}

#[derive(Deserialize)]
struct UpdateToolExecution {
    execution: ExecutionUpdate,
    if_updated_at: Option<Timestamp>,
}

async fn update_tool_execution(
    context: Arc<Context>,
    params: UpdateToolExecution,
) -> Result<(), Error> {
    Ok(context.store.update_tool_execution(params.execution, params.if_updated_at).await?)
}

#[derive(Deserialize)]
struct ListToolExecutions {
    goal_id: Uuid,
}

async fn list_tool_executions(
    context: Arc<Context>,
    params: ListToolExecutions,
) -> Result<Vec<Execution>, Error> {
    context.list(move |reader| reader.executions_of_goal(params.goal_id)).await
}

#[derive(Deserialize)]
struct ListSessionExecutions {
    session_id: Uuid,
    limit: Option<usize>,
    after: Option<Uuid>,
}

async fn list_session_executions(
    context: Arc<Context>,
    params: ListSessionExecutions,
) -> Result<Vec<Execution>, Error> {
    let ListSessionExecutions { session_id, limit, after } = params;
    let limit = params::page(limit, 200)?;
    context.list(move |reader| reader.executions_of_session(session_id, limit, after)).await
}

#[derive(Deserialize)]
struct ListExecutions {
    user_id: Option<Uuid>,
    session_id: Option<Uuid>,
    goal_id: Option<Uuid>,
    status: Option<ExecutionStatus>,
    tool_name: Option<Name>,
    origin: Option<Origin>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    limit: Option<usize>,
    cursor: Option<String>,
}

async fn list_executions(
    context: Arc<Context>,
    params: ListExecutions,
) -> Result<Page<Execution>, Error> {
    let filter = ExecutionFilter {
        user_id: params.user_id,
        session_id: params.session_id,
        goal_id: params.goal_id,
        status: params.status,
        tool_name: params.tool_name.map(|name| name.0),
        origin: params.origin,
        after: params.after,
        before: params.before,
    };
    let limit = params::page(params.limit, 50)?;
    let cursor = params.cursor;
    context.list(move |reader| reader.executions(&filter, limit, cursor.as_deref())).await
}

#[cfg(test)]
mod tests {
    use store::model::EffectClass;

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
