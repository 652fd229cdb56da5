//! The store's methods for calls: by the API and by the proxy.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use store_core::call::{
    ApiClaim, ApiFinish, Call, CallKey, ExecuteOptions, Executed, Finish, Scope, ScopeRequest,
    Settled, ToolCallKey, Verdict,
};
use store_core::key::{self, Digest, HolderKey};
use store_core::model::{EffectClass, Execution, ExecutionStatus, Origin, Timestamp, ToolCall};
use store_core::state::{Knowledge, State};
use store_core::{Error, LEASE_MAX, LEASE_MIN};
use uuid::Uuid;

use crate::call::Claim;
use crate::decide::execute::{self, Decided, Wish};
use crate::decide::{claim, doubt, settle};
use crate::engine::job::Lane;
use crate::engine::replays::Replay;
use crate::engine::write::Write;
use crate::lease::{self, Lease};
use crate::read::output;
use crate::sqlite::ids::{self, Place};
use crate::sqlite::rows::{self, Brief};
use crate::sqlite::{answers, entities, queries, scope};
use crate::store::Store;

/// The longest reason of a verdict, in characters.
const MAX_EVIDENCE: usize = 4_096;

impl Store {
    /// Finds or makes the execution that holds a key; with `lease`, exactly one caller may run it.
    ///
    /// Safe to repeat: the same key gives the same execution, and the same `claim_id` the same lease.
    pub async fn execute(
        &self,
        call: ToolCall,
        options: ExecuteOptions,
    ) -> Result<Executed, Error> {
        entities::check_name("tool_name", &call.tool_name)?;
        let place = self.place(&call)?;
        let key = Self::api_key(&call, place, &options)?;
        if !self.is_likely_new()
            && let Some(executed) = self.known(&key, &options)?
        {
            self.0.streak.saw(false);
            return Ok(executed);
        }
        let wish = self.wish(&options)?;
        let wait = options.wait;
        let leased = options.lease.is_some();
        let (job_call, job_key) = (call.clone(), key.clone());
        let decided = self
            .write(move |write| execute::execute(write, &job_call, place, &job_key, &wish))
            .await?;
        self.0.streak.saw(!decided.duplicate);
        self.told(decided, &call, key, leased, wait).await
    }

    /// The row numbers of a call's place. Remembered: none of them ever moves.
    pub(crate) fn place(&self, call: &ToolCall) -> Result<Place, Error> {
        let ids = (call.user_id, call.session_id, call.goal_id);
        if let Some(place) = self.0.places.get(&ids) {
            return Ok(place);
        }
        let place = self.reader().snapshot(|conn| ids::place(conn, ids.0, ids.1, ids.2))?;
        self.0.places.insert(ids, place);
        Ok(place)
    }

    fn api_key(
        call: &ToolCall,
        place: Place,
        options: &ExecuteOptions,
    ) -> Result<ToolCallKey, Error> {
        let text = if let Some(key) = &options.idempotency_key {
            entities::check_name("idempotency_key", key)?;
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

    fn wish(&self, options: &ExecuteOptions) -> Result<Wish, Error> {
        if options.lease.is_some_and(|ttl| !(LEASE_MIN..=LEASE_MAX).contains(&ttl)) {
            let message = "must be 1,000 to 3,600,000 milliseconds".to_owned();
            return Err(Error::Invalid { field: "lease_ms", message });
        }
        if let Some(id) = &options.claim_id {
            entities::check_name("claim_id", id)?;
        }
        let claim_id = options.claim_id.as_ref();
        Ok(Wish {
            lease: options.lease,
            claim_id: claim_id.map(|id| self.keyed_digest("claim-id/v1", id.as_bytes()).short()),
            wait: !options.wait.is_zero(),
            refuse_mismatch: options.refuse_mismatch,
        })
    }

    /// The answer where the key's holder is over for good, or where only the record is asked for: a
    /// read, and no work for the writer.
    fn known(
        &self,
        key: &ToolCallKey,
        options: &ExecuteOptions,
    ) -> Result<Option<Executed>, Error> {
        self.reader().snapshot(|conn| {
            let Some(found) = claim::holder(conn, key.holder.as_bytes())? else { return Ok(None) };
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
                return Err(Error::KeyReuse { execution: found.uuid }.into());
            }
            let row = conn
                .prepare_cached(queries::EXECUTION_BY_ID)?
                .query_row([found.id], rows::execution)?;
            Ok(Some(Executed {
                execution: output::complete(conn, row, output::WHOLE)?,
                duplicate: true,
                input_mismatch,
                claim: options.lease.map(|_| ApiClaim::Replay),
            }))
        })
    }

    /// What the caller is told, after the wait that it asked for.
    async fn told(
        &self,
        decided: Decided,
        call: &ToolCall,
        key: ToolCallKey,
        leased: bool,
        wait: Duration,
    ) -> Result<Executed, Error> {
        let Decided { id, row, at, duplicate, mismatch, mut claim, waiter } = decided;
        if let Some(waiter) = waiter
            && tokio::time::timeout(wait, waiter.settled()).await.is_ok()
            && leased
        {
            claim = Some(execute::passive_claim(self.brief(row)?.state));
        }
        let execution = if duplicate {
            self.reader().execution_row(row)?
        } else {
            fresh(id, call, key.text, leased, at)
        };
        Ok(Executed { execution, duplicate, input_mismatch: mismatch, claim })
    }

    fn brief(&self, row: i64) -> Result<Brief, Error> {
        let found = self.reader().one(queries::BRIEF_BY_ID, [row], rows::brief)?;
        found.ok_or(Error::Internal)
    }

    /// Records what the holder of an API lease tells. A repeat of the same outcome gives the stored
    /// execution; another outcome, or one of an older attempt, is `Stale` and kept in the log.
    pub async fn finish_by_token(&self, finish: ApiFinish) -> Result<Execution, Error> {
        let (id, attempt) = self.lease_of(&finish.lease)?;
        let work = move |write: &mut Write<'_>| settle::finish(write, id, attempt, &finish);
        self.0.writer.run(Lane::ApiFinish, work).await??;
        self.reader().execution(id)
    }

    fn lease_of(&self, lease: &str) -> Result<(Uuid, u32), Error> {
        self.0.secret.read_lease_token(lease).ok_or_else(|| Error::Invalid {
            field: "lease",
            message: "it is not a lease of this engine".to_owned(),
        })
    }

    /// Gives a lease `ttl` from now on; revives an in-doubt execution of its attempt that nobody
    /// has settled. Refused (`LeaseLost`) otherwise.
    pub async fn extend_lease(&self, lease: &str, ttl: Duration) -> Result<Execution, Error> {
        let (id, attempt) = self.lease_of(lease)?;
        if !(LEASE_MIN..=LEASE_MAX).contains(&ttl) {
            let message = "must be 1,000 to 3,600,000 milliseconds".to_owned();
            return Err(Error::Invalid { field: "lease_ms", message });
        }
        let work = move |write: &mut Write<'_>| settle::extend(write, id, attempt, ttl);
        self.0.writer.run(Lane::ApiFinish, work).await?;
        self.reader().execution(id)
    }

    /// Settles an execution that is in doubt at the verdict's attempt; `Stale` otherwise.
    pub async fn resolve(&self, verdict: Verdict) -> Result<Execution, Error> {
        let length = verdict.evidence.chars().count();
        if !(1..=MAX_EVIDENCE).contains(&length) {
            let message = format!("must have 1 to {MAX_EVIDENCE} characters, not {length}");
            return Err(Error::Invalid { field: "evidence", message });
        }
        let id = verdict.id;
        let work = move |write: &mut Write<'_>| settle::resolve(write, &verdict);
        self.0.writer.run(Lane::ApiFinish, work).await?;
        self.reader().execution(id)
    }

    /// Whose call it is: found, or for names made. Remembered until a session or goal changes.
    pub async fn scope(&self, request: &ScopeRequest) -> Result<Scope, Error> {
        if let Some(scope) = self.0.scopes.get(request) {
            return Ok(scope);
        }
        let generation = self.0.scopes.generation();
        if let Some(scope) = self.reader().with(|conn| scope::find(conn, request))? {
            self.0.scopes.put(request.clone(), scope.clone(), generation);
            return Ok(scope);
        }
        let request = request.clone();
        self.write(move |write| scope::find_or_make(write, &request)).await
    }

    /// May this call run? `Execute` is told after its intent is on disk.
    pub async fn claim(&self, call: Call) -> Result<Claim, Error> {
        let writer = self.0.writer.clone();
        let work = move |write: &mut Write<'_>| claim::claim(write, &call);
        let claim = self
            .0
            .writer
            .run_and_hand_out(Lane::Ordinary, work, move |claim| claim.granted(writer))
            .await;
        match &claim {
            Ok(Claim::Execute(_)) => self.0.streak.saw(true),
            // Where the writer cannot write, what is known can still be read.
            Ok(Claim::Replay(_)) | Err(_) => self.0.streak.saw(false),
            Ok(Claim::Busy(_) | Claim::InDoubt(_) | Claim::Mismatch { .. }) => {}
        }
        claim
    }

    /// May a look for the call's key be left to the writer, which looks in any case. Where that takes
    /// no calls what is known is still answered.
    fn is_likely_new(&self) -> bool {
        self.0.streak.expects_new() && self.0.writer.takes_calls()
    }

    /// How a call ended that took effect before, from memory or by a read: what [`Store::claim`]
    /// would say, at a fraction of its cost. `None`: only a claim can tell; so too after many new
    /// calls in a row, when the look is not worth its cost.
    pub fn replay(
        &self,
        key: &CallKey,
        fingerprint: &Digest,
    ) -> Result<Option<Arc<Settled>>, Error> {
        // After a jump of the wall clock the writer alone decides what has expired.
        if self.0.writer.shared.jumped.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let now = self.0.writer.shared.now();
        let replay = match self.0.replays.get(&key.holder, now) {
            Some(replay) => replay,
            None if self.is_likely_new() => return Ok(None),
            None => match self.completed(key, now)? {
                None => return Ok(None),
                Some(replay) => {
                    self.0.replays.put(key.holder, replay.clone());
                    replay
                }
            },
        };
        self.0.streak.saw(false);
        Ok((replay.fingerprint == fingerprint.short()).then_some(replay.settled))
    }

    fn completed(&self, key: &CallKey, now: Timestamp) -> Result<Option<Replay>, Error> {
        let held =
            self.reader().with(|conn| Ok(answers::of_holder(conn, key.holder.as_bytes())?))?;
        let completed = held.filter(|(found, _)| {
            matches!(found.state, State::Completed { .. }) && !found.is_free(now)
        });
        Ok(completed.map(|(found, answer)| {
            let free_at = found.window.zip(found.ended_at).map(|(window, ended)| {
                Timestamp::from_micros(ended.as_micros().saturating_add(window))
            });
            Replay {
                fingerprint: found.fingerprint.unwrap_or_default(),
                settled: Arc::new(answers::settled(&found, answer)),
                free_at,
            }
        }))
    }

    /// Records the outcome of a claimed call, consuming its lease, and wakes its duplicates. Never
    /// refused for want of room: it waits until the outcome is on disk. `Internal` where `SQLite` does not
    /// take this outcome: then it is recorded as unknown.
    pub async fn finish(&self, lease: Lease, finish: Finish) -> Result<Arc<Settled>, Error> {
        let (id, attempt) = (lease.execution_id(), lease.attempt());
        let finish = Arc::new(finish);
        let writer = lease.consume().ok_or(Error::Internal)?;
        let told =
            writer.run(Lane::Finish, move |write| claim::finish(write, id, attempt, &finish)).await;
        if let Err(Error::Internal) = told {
            // Its duplicates wait, and nobody else will tell them anything.
            let unknown = lease::unknown("the outcome could not be recorded", "not recorded");
            let record = move |write: &mut Write<'_>| claim::finish(write, id, attempt, &unknown);
            writer.run(Lane::Finish, record).await?;
        }
        told
    }

    /// Redeems a retry token: the next identical call runs. A repeat changes nothing; a token that
    /// is spent, expired or settled is `Stale`.
    pub async fn redeem(&self, token: &str) -> Result<Uuid, Error> {
        let token = token.to_owned();
        self.write(move |write| doubt::redeem(write, &token)).await
    }
}

/// A new execution as the commit has just written it.
fn fresh(id: Uuid, call: &ToolCall, key: String, leased: bool, at: Timestamp) -> Execution {
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
        idempotency_key: Some(key),
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
