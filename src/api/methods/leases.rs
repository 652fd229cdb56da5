use std::sync::Arc;

use serde::Deserialize;
use store::call::{ApiFinish, Verdict};
use store::model::{Execution, Json};
use store::state::Knowledge;
use uuid::Uuid;

use super::registrar::{Context, Registrar};
use crate::api::error::Error;
use crate::api::params::{self, Evidence};
use crate::shown;

pub(super) fn register(to: &mut Registrar) {
    to.write("finish_tool_execution", finish_tool_execution);
    to.write("extend_lease", extend_lease);
    to.write("resolve_tool_execution", resolve_tool_execution);
    to.read("await_tool_execution", await_tool_execution);
}

#[derive(Deserialize)]
struct FinishToolExecution {
    lease: String,
    outcome: Knowledge,
    output: Option<Json>,
    error: Option<String>,
}

async fn finish_tool_execution(
    context: Arc<Context>,
    params: FinishToolExecution,
) -> Result<Execution, Error> {
    let FinishToolExecution { lease, outcome, output, error } = params;
    Ok(context.store.finish_by_token(ApiFinish { lease, outcome, output, error }).await?)
}

#[derive(Deserialize)]
struct ExtendLease {
    lease: String,
    lease_ms: Option<u64>,
}

async fn extend_lease(context: Arc<Context>, params: ExtendLease) -> Result<Execution, Error> {
    let ttl = params::lease_ttl(params.lease_ms)?;
    Ok(context.store.extend_lease(&params.lease, ttl).await?)
}

#[derive(Deserialize)]
struct ResolveToolExecution {
    id: Uuid,
    attempt: u32,
    verdict: Ran,
    output: Option<Json>,
    evidence: Evidence,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Ran {
    Executed,
    NotExecuted,
}

async fn resolve_tool_execution(
    context: Arc<Context>,
    params: ResolveToolExecution,
) -> Result<Execution, Error> {
    let verdict = Verdict {
        id: params.id,
        attempt: params.attempt,
        executed: params.verdict == Ran::Executed,
        output: params.output,
        evidence: shown::text(params.evidence.0),
        actor: context.actor.to_owned(),
    };
    Ok(shown::for_client(context.store.resolve(verdict).await?))
}

#[derive(Deserialize)]
struct AwaitToolExecution {
    id: Uuid,
    timeout_ms: u64,
}

async fn await_tool_execution(
    context: Arc<Context>,
    params: AwaitToolExecution,
) -> Result<Execution, Error> {
    let timeout = params::wait("timeout_ms", params.timeout_ms)?;
    Ok(shown::for_client(context.store.await_execution(params.id, timeout).await?))
}
