//! Settles an execution that is in doubt.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use store::call::Verdict;
use store::model::{ExecutionStatus, Json};
use store::state::Knowledge;
use store::{Options, Store};
use uuid::Uuid;

use super::word::Word;
use crate::api::Code;
use crate::client::ApiClient;
use crate::config::Target;
use crate::shown;

/// What a person has found out about an execution.
pub(crate) struct Settlement<'a> {
    pub(crate) id: Uuid,
    /// The attempt that the person looked at; `None` for the newest.
    pub(crate) attempt: Option<u32>,
    /// Executed or not executed.
    pub(crate) outcome: Knowledge,
    pub(crate) output: Option<&'a Json>,
    pub(crate) evidence: &'a str,
}

/// The result of a settlement.
pub(crate) enum SettleResult {
    /// It was recorded; this is the execution now.
    Now(Box<RawValue>),
    /// The execution does not exist, or is not in doubt at that attempt.
    No(String),
}

#[derive(Serialize)]
struct Params<'a> {
    id: Uuid,
    attempt: u32,
    verdict: Knowledge,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Json>,
    evidence: &'a str,
}

#[derive(Deserialize)]
struct AttemptFacts {
    status: Word<ExecutionStatus>,
    #[serde(default)]
    attempt: u32,
}

impl Settlement<'_> {
    /// Sends the settlement to the server that owns the database of `target`. If none is running,
    /// takes the database over.
    pub(crate) fn submit(&self, target: &Target) -> anyhow::Result<SettleResult> {
        let database = target.database()?;
        if let Some(client) = super::server_of(&database, target)? {
            return self.send_to(&client);
        }
        super::open(&database)?;
        match Store::open(&Options::new(&database)) {
            // A server has started since the lock was checked.
            Err(store::Error::Locked { holder }) => {
                self.send_to(&super::client_of(&holder, target)?)
            }
            store => self.record_in(&store?),
        }
    }

    fn send_to(&self, client: &ApiClient) -> anyhow::Result<SettleResult> {
        let attempt = match self.attempt_of(super::execution(client, self.id)?)? {
            Ok(attempt) => attempt,
            Err(no) => return Ok(SettleResult::No(no)),
        };
        let params = Params {
            id: self.id,
            attempt,
            verdict: self.outcome,
            output: self.output,
            evidence: self.evidence,
        };
        match client.call("resolve_tool_execution", &params) {
            Ok(execution) => Ok(SettleResult::Now(execution)),
            Err(error) if matches!(error.code(), Some(Code::NotFound | Code::Stale)) => {
                Ok(SettleResult::No(error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Opening the store recovers it, so that executions left running by a crash are in doubt by
    /// now.
    fn record_in(&self, store: &Store) -> anyhow::Result<SettleResult> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let settled = runtime.block_on(async {
            let execution = match store.reader().execution(self.id) {
                Ok(execution) => Some(to_raw_value(&execution)?),
                Err(store::Error::NotFound { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            let attempt = match self.attempt_of(execution)? {
                Ok(attempt) => attempt,
                Err(no) => return Ok(SettleResult::No(no)),
            };
            let verdict = Verdict {
                id: self.id,
                attempt,
                executed: self.outcome == Knowledge::Executed,
                output: self.output.cloned(),
                evidence: shown::text(self.evidence.to_owned()),
                actor: "operator".to_owned(),
            };
            match store.resolve(verdict).await {
                Ok(execution) => Ok(SettleResult::Now(to_raw_value(&execution)?)),
                Err(error @ (store::Error::NotFound { .. } | store::Error::Stale(_))) => {
                    Ok(SettleResult::No(error.to_string()))
                }
                Err(error) => Err(error.into()),
            }
        });
        runtime.block_on(store.close());
        settled
    }

    /// The attempt to settle, or why it cannot be settled.
    fn attempt_of(&self, execution: Option<Box<RawValue>>) -> anyhow::Result<Result<u32, String>> {
        let Some(execution) = execution else {
            return Ok(Err(format!("No execution has the id {}.", self.id)));
        };
        let facts: AttemptFacts =
            serde_json::from_str(execution.get()).context("unexpected answer from the server")?;
        if !facts.status.is(&ExecutionStatus::InDoubt) {
            let status = facts.status;
            return Ok(Err(format!("Execution {} is not in doubt: it is {status}.", self.id)));
        }
        Ok(Ok(self.attempt.unwrap_or(facts.attempt)))
    }
}
