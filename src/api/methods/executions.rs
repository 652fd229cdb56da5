use std::sync::Arc;

use serde::Deserialize;
use store::Reader;
use store::model::{
    Execution, ExecutionFilter, ExecutionStatus, ExecutionUpdate, Json, Origin, Page, Timestamp,
    ToolCall,
};
use uuid::Uuid;

use super::registrar::{Context, Registrar};
use crate::api::error::Error;
use crate::api::params::{self, Name};
use crate::shown;

pub(super) fn register(to: &mut Registrar) {
    to.write("create_tool_execution", create_tool_execution);
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
    context.metrics.record_tool_call(None);
    Ok(execution)
}

#[derive(Deserialize)]
struct GetToolExecution {
    id: Uuid,
}

async fn get_tool_execution(
    context: Arc<Context>,
    params: GetToolExecution,
) -> Result<Execution, Error> {
    Ok(shown::for_client(context.store.reader().execution(params.id)?))
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
    let found = context.store.reader().execution_by_key(&params.key.0, params.user_id)?;
    Ok(found.map(shown::for_client))
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
    let all = move |reader: &Reader| Ok(for_client(reader.executions_of_goal(params.goal_id)?));
    context.read_list(all).await
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
    let page = move |reader: &Reader| {
        Ok(for_client(reader.executions_of_session(session_id, limit, after)?))
    };
    context.read_list(page).await
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
    let page = move |reader: &Reader| {
        let Page { items, next } = reader.executions(&filter, limit, cursor.as_deref())?;
        Ok(Page { items: for_client(items), next })
    };
    context.read_list(page).await
}

fn for_client(executions: Vec<Execution>) -> Vec<Execution> {
    executions.into_iter().map(shown::for_client).collect()
}
