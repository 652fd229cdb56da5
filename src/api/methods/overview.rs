use std::sync::Arc;

use serde::Deserialize;
use store::Reader;
use store::model::{
    ExecutionDetail, ExecutionStatus, ExecutionSummary, Origin, Page, SearchFilter, SessionFilter,
    SessionStatus, SessionSummary, Timestamp,
};
use uuid::Uuid;

use super::registrar::{Context, Registrar};
use crate::api::activity::LastHour;
use crate::api::error::Error;
use crate::api::params::{self, NameOrEmpty, NoParams};
use crate::shown;

/// How many bytes of each text of an execution are returned by default.
const TEXT: usize = 64 * 1024;

pub(super) fn register(to: &mut Registrar) {
    to.read("list_session_summaries", list_session_summaries);
    to.read("get_session_summary", get_session_summary);
    to.read("search_executions", search_executions);
    to.read("get_execution_detail", get_execution_detail);
    to.read("get_activity", get_activity);
}

#[derive(Deserialize)]
struct ListSessionSummaries {
    user_id: Option<Uuid>,
    status: Option<SessionStatus>,
    text: Option<NameOrEmpty>,
    limit: Option<usize>,
    cursor: Option<String>,
}

async fn list_session_summaries(
    context: Arc<Context>,
    params: ListSessionSummaries,
) -> Result<Page<SessionSummary>, Error> {
    let filter = SessionFilter {
        user_id: params.user_id,
        status: params.status,
        text: params.text.map(|text| text.0),
    };
    let limit = params::page(params.limit, 50)?;
    let cursor = params.cursor;
    let page = move |reader: &Reader| {
        let Page { items, next } = reader.session_summaries(&filter, limit, cursor.as_deref())?;
        Ok(Page { items: items.into_iter().map(shown::session).collect(), next })
    };
    context.read_list(page).await
}

#[derive(Deserialize)]
struct GetSessionSummary {
    id: Uuid,
}

async fn get_session_summary(
    context: Arc<Context>,
    params: GetSessionSummary,
) -> Result<SessionSummary, Error> {
    context.read_list(move |reader| Ok(shown::session(reader.session_summary(params.id)?))).await
}

#[derive(Deserialize)]
struct SearchExecutions {
    user_id: Option<Uuid>,
    session_id: Option<Uuid>,
    goal_id: Option<Uuid>,
    status: Option<ExecutionStatus>,
    origin: Option<Origin>,
    tool: Option<NameOrEmpty>,
    text: Option<NameOrEmpty>,
    duplicated: Option<bool>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    limit: Option<usize>,
    cursor: Option<String>,
}

async fn search_executions(
    context: Arc<Context>,
    params: SearchExecutions,
) -> Result<Page<ExecutionSummary>, Error> {
    let filter = SearchFilter {
        user_id: params.user_id,
        session_id: params.session_id,
        goal_id: params.goal_id,
        status: params.status,
        origin: params.origin,
        tool: params.tool.map(|text| text.0),
        text: params.text.map(|text| text.0),
        duplicated: params.duplicated.unwrap_or(false),
        after: params.after,
        before: params.before,
    };
    let limit = params::page(params.limit, 50)?;
    let cursor = params.cursor;
    let page = move |reader: &Reader| {
        let shows = |text: &str| shown::text(text.to_owned());
        let Page { items, next } =
            reader.search_shown(&filter, limit, cursor.as_deref(), &shows)?;
        Ok(Page { items: items.into_iter().map(shown::summary).collect(), next })
    };
    context.read_list(page).await
}

#[derive(Deserialize)]
struct GetExecutionDetail {
    id: Uuid,
    text_bytes: Option<usize>,
}

async fn get_execution_detail(
    context: Arc<Context>,
    params: GetExecutionDetail,
) -> Result<ExecutionDetail, Error> {
    let limit = params.text_bytes.unwrap_or(TEXT);
    // Cut once it is masked: what is cut first may end within a secret.
    let detail = move |reader: &Reader| {
        Ok(shown::detail(reader.execution_detail(params.id, usize::MAX)?, limit))
    };
    context.read_list(detail).await
}

async fn get_activity(context: Arc<Context>, _: NoParams) -> Result<LastHour, Error> {
    let decisions = context.metrics.decisions();
    let decisions = decisions.map(|(decision, count)| (decision.as_str(), count)).collect();
    Ok(context.metrics.activity().last_hour(decisions))
}
