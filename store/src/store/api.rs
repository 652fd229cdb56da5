//! Calls by the API.

use std::sync::Arc;
use std::time::Duration;

use store_core::call::{ApiClaim, ApiFinish, ExecuteOptions, Executed, ToolCallKey, Verdict};
use store_core::key::{self, HolderKey};
use store_core::model::{
    EffectClass, Execution, ExecutionStatus, ExecutionUpdate, Origin, Timestamp, ToolCall,
};
use store_core::state::{Knowledge, State};
use store_core::{Error, LEASE_MAX, LEASE_MIN};
use uuid::Uuid;

use crate::call::Waiter;
use crate::decide::brief::{Place, Running};
use crate::decide::checks::{check_key, check_name};
use crate::decide::execute::{self, ApiAnswer, ApiCall};
use crate::engine::job::Lane;
use crate::engine::write::Write;
use crate::read::output;
use crate::sqlite::{executions, facts, ids};
use crate::store::Store;

/// The maximum length of the evidence of a verdict, in characters.
const MAX_EVIDENCE: usize = 4_096;

impl Store {
    /// Records a tool call without a key, as `pending`.
    pub async fn create_tool_execution(&self, call: ToolCall) -> Result<Execution, Error> {
        check_name("tool_name", &call.tool_name)?;
        let place = self.place(&call)?;
        let row = self.write(move |tx| executions::create(tx, &call, place)).await?;
        self.reader().execution_row(row)
    }

    /// Changes an execution that was never leased. Refused with `LeaseLost` if it was, and with
    /// `IllegalTransition` if its state does not allow the new status.
    pub async fn update_tool_execution(
        &self,
        update: ExecutionUpdate,
        if_updated_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.write(move |tx| executions::update(tx, &update, if_updated_at)).await
    }

    /// Finds or creates the execution that holds a key. With `lease`, exactly one caller may run it.
    ///
    /// Safe to repeat: the same key returns the same execution, and the same `claim_id` the same lease.
    pub async fn execute(
        &self,
        call: ToolCall,
        options: ExecuteOptions,
    ) -> Result<Executed, Error> {
        check_name("tool_name", &call.tool_name)?;
        let place = self.place(&call)?;
        let key = Self::api_key(&call, place, &options)?;
        if !self.is_likely_new()
            && let Some(executed) = self.known(&key, &options)?
        {
            self.0.caches.new_calls.saw_known();
            return Ok(executed);
        }
        let request = Arc::new(self.api_call(call, place, key, &options)?);
        let job = Arc::clone(&request);
        let work = move |write: &mut Write<'_>| {
            let answer = executions::execute(&mut write.tx, &job)?;
            let waiter = match answer {
                ApiAnswer::Known { wait_for: Some(running), .. } => {
                    Some(Waiter::subscribe(write.live, running))
                }
                _ => None,
            };
            Ok((answer, waiter))
        };
        let (answer, waiter) = self.0.writer.run(Lane::Ordinary, work).await?;
        match answer {
            ApiAnswer::New { id, at, claim } => {
                self.0.caches.new_calls.saw_new();
                let execution = fresh(id, &request, at);
                let (duplicate, input_mismatch, lease_left) = (false, false, None);
                Ok(Executed { execution, duplicate, input_mismatch, claim, lease_left })
            }
            ApiAnswer::Known { row, mismatch, mut claim, .. } => {
                self.0.caches.new_calls.saw_known();
                if let Some(waiter) = waiter
                    && tokio::time::timeout(options.wait, waiter.settled()).await.is_ok()
                    && request.lease.is_some()
                {
                    claim = Some(execute::passive_claim(self.reader().brief(row)?.state));
                }
                let lease_left = match claim {
                    Some(ApiClaim::Busy { leased: true }) => self.lease_left(row).await?,
                    _ => None,
                };
                let execution = self.reader().execution_row(row)?;
                let input_mismatch = mismatch;
                Ok(Executed { execution, duplicate: true, input_mismatch, claim, lease_left })
            }
        }
    }

    /// How long the lease of a running execution lasts from now on. Only the writer knows.
    async fn lease_left(&self, row: i64) -> Result<Option<Duration>, Error> {
        // It concerns a running call: allowed even if the disk is full.
        self.0.writer.run(Lane::ApiFinish, move |write| Ok(write.live.lease_left(row))).await
    }

    /// The row numbers of a call's user, session and goal. Cached: they never change.
    pub(crate) fn place(&self, call: &ToolCall) -> Result<Place, Error> {
        let ids = (call.user_id, call.session_id, call.goal_id);
        if let Some(place) = self.0.caches.places.get(&ids) {
            return Ok(place);
        }
        let place = self.reader().snapshot(|conn| ids::place(conn, ids.0, ids.1, ids.2))?;
        self.0.caches.places.insert(ids, place);
        Ok(place)
    }

    fn api_key(
        call: &ToolCall,
        place: Place,
        options: &ExecuteOptions,
    ) -> Result<ToolCallKey, Error> {
        let text = if let Some(key) = &options.idempotency_key {
            check_key("idempotency_key", key)?;
            key.clone()
        } else {
            let hash = key::api_call_v1(
                call.user_id,
                call.session_id,
                call.goal_id,
                &call.tool_name,
                &call.tool_input,
            );
            key::derived_text(&call.tool_name, place.session_created, &hash)
        };
        Ok(ToolCallKey {
            holder: HolderKey::new(call.user_id, key::API_NAMESPACE, &text),
            fingerprint: key::api_input_v1(&call.tool_name, &call.tool_input),
            text,
        })
    }

    fn api_call(
        &self,
        call: ToolCall,
        place: Place,
        key: ToolCallKey,
        options: &ExecuteOptions,
    ) -> Result<ApiCall, Error> {
        if let Some(ttl) = options.lease {
            check_lease(ttl)?;
        }
        if let Some(id) = &options.claim_id {
            check_name("claim_id", id)?;
        }
        let claim_id = options.claim_id.as_ref();
        Ok(ApiCall {
            call,
            place,
            key,
            lease: options.lease,
            claim_id: claim_id.map(|id| self.keyed_digest("claim-id/v1", id.as_bytes()).short()),
            wait: !options.wait.is_zero(),
            refuse_mismatch: options.refuse_mismatch,
        })
    }

    /// The answer if the key's holder has ended for good, or if only the record is requested: a read, without
    /// work for the writer.
    fn known(
        &self,
        key: &ToolCallKey,
        options: &ExecuteOptions,
    ) -> Result<Option<Executed>, Error> {
        self.reader().snapshot(|conn| {
            let Some(found) = facts::holder(conn, &key.holder)? else { return Ok(None) };
            let over = matches!(
                found.state,
                State::Completed { .. } | State::Failed { known: Knowledge::Executed, .. }
            );
            let record_only = options.lease.is_none() && options.wait.is_zero();
            if !over && !record_only {
                return Ok(None);
            }
            let input_mismatch = found.fingerprint != Some(key.fingerprint.short());
            if input_mismatch && options.refuse_mismatch {
                return Err(Error::KeyReuse { execution: found.id }.into());
            }
            Ok(Some(Executed {
                execution: output::whole(conn, found.row)?,
                duplicate: true,
                input_mismatch,
                claim: options.lease.map(|_| ApiClaim::Replay),
                lease_left: None,
            }))
        })
    }

    /// Waits until an execution is terminal or in doubt, at most for `timeout`. Returns it as it is then.
    pub async fn await_execution(&self, id: Uuid, timeout: Duration) -> Result<Execution, Error> {
        let work = move |write: &mut Write<'_>| {
            let execution = facts::brief(write.tx.conn, id)?;
            let over = execution.state.is_terminal() || execution.state.outcome().is_some();
            Ok((!over).then(|| Waiter::subscribe(write.live, Running::of(&execution))))
        };
        // It concerns a running call: allowed even if the disk is full.
        let waiter = self.0.writer.run(Lane::ApiFinish, work).await?;
        if let Some(waiter) = waiter {
            // At the timeout the execution is returned as it is.
            let _ = tokio::time::timeout(timeout, waiter.settled()).await;
        }
        self.reader().execution(id)
    }

    /// Records the outcome that the holder of an API lease reports. Repeating the same outcome returns the
    /// stored execution. A different outcome, or one of an older attempt, is `Stale` and only logged.
    pub async fn finish_by_token(&self, finish: ApiFinish) -> Result<Execution, Error> {
        let (id, attempt) = self.lease_of(&finish.lease)?;
        self.write_finish(move |tx| executions::finish(tx, id, attempt, &finish)).await??;
        self.reader().execution(id)
    }

    fn lease_of(&self, lease: &str) -> Result<(Uuid, u32), Error> {
        self.0.secret.read_lease_token(lease).ok_or_else(|| Error::Invalid {
            field: "lease",
            message: "not a lease of this engine".to_owned(),
        })
    }

    /// Extends a lease to `ttl` from now. Revives an execution that is in doubt at the attempt of the lease
    /// and not settled. Otherwise refused with `LeaseLost`.
    pub async fn extend_lease(&self, lease: &str, ttl: Duration) -> Result<Execution, Error> {
        let (id, attempt) = self.lease_of(lease)?;
        check_lease(ttl)?;
        self.write_finish(move |tx| executions::extend(tx, id, attempt, ttl)).await?;
        self.reader().execution(id)
    }

    /// Settles an execution that is in doubt at the attempt of the verdict. Otherwise refused with `Stale`.
    pub async fn resolve(&self, verdict: Verdict) -> Result<Execution, Error> {
        let length = verdict.evidence.chars().count();
        if !(1..=MAX_EVIDENCE).contains(&length) {
            let message = format!("must have 1 to {MAX_EVIDENCE} characters, not {length}");
            return Err(Error::Invalid { field: "evidence", message });
        }
        let id = verdict.id;
        self.write_finish(move |tx| executions::resolve(tx, &verdict)).await?;
        self.reader().execution(id)
    }
}

fn check_lease(ttl: Duration) -> Result<(), Error> {
    if (LEASE_MIN..=LEASE_MAX).contains(&ttl) {
        return Ok(());
    }
    let message = "must be 1,000 to 3,600,000 milliseconds".to_owned();
    Err(Error::Invalid { field: "lease_ms", message })
}

/// A new execution, as it was just committed.
fn fresh(id: Uuid, request: &ApiCall, at: Timestamp) -> Execution {
    let (call, leased) = (&request.call, request.lease.is_some());
    Execution {
        id,
        goal_id: call.goal_id,
        session_id: call.session_id,
        user_id: call.user_id,
        tool_name: call.tool_name.clone(),
        tool_input: call.tool_input.clone(),
        status: if leased { ExecutionStatus::Running } else { ExecutionStatus::Pending },
        output: None,
        error: None,
        idempotency_key: Some(request.key.text.clone()),
        started_at: leased.then_some(at),
        completed_at: None,
        created_at: at,
        updated_at: at,
        attempt: u32::from(leased),
        outcome: None,
        origin: Origin::Api,
        effect: EffectClass::Once,
        leased,
        rule: None,
    }
}
