//! Calls through the proxy.

use std::sync::Arc;

use store_core::Error;
use store_core::call::{Call, CallDigests, CallKey, Finish, Scope, ScopeRequest, Settled};
use store_core::model::Timestamp;
use store_core::state::State;
use uuid::Uuid;

use crate::call::Claim;
use crate::decide::answer;
use crate::engine::job::Lane;
use crate::engine::replays::Replay;
use crate::engine::write::Write;
use crate::lease::{self, LateReport, Lease};
use crate::sqlite::error::Fail;
use crate::sqlite::transaction::Transaction;
use crate::sqlite::{answers, claims, scope};
use crate::store::Store;

impl Store {
    /// Finds the user, session and goal of a call, and creates those that are given by name. Cached until a
    /// session or goal changes.
    pub async fn scope(&self, request: &ScopeRequest) -> Result<Scope, Error> {
        if let Some(scope) = self.0.caches.scopes.get(request) {
            return Ok(scope);
        }
        let generation = self.0.caches.scopes.generation();
        if let Some(scope) = self.reader().with(|conn| scope::find(conn, request))? {
            self.0.caches.scopes.put(request.clone(), scope.clone(), generation);
            return Ok(scope);
        }
        let request = request.clone();
        self.write(move |tx| scope::find_or_create(tx, &request)).await
    }

    /// Claims a call. When it returns `Execute`, the claim is on disk.
    pub async fn claim(&self, call: Call) -> Result<Claim, Error> {
        let writer = self.0.writer.clone();
        let work = move |write: &mut Write<'_>| {
            let answer = claims::claim(&mut write.tx, &call)?;
            Ok(Claim::of(answer, write.live))
        };
        // The lease becomes valid once its claim is on disk.
        let on_commit = move |claim: Claim| claim.granted(writer);
        let claim = self.0.writer.run_mapped(Lane::Ordinary, work, on_commit).await;
        match &claim {
            Ok(Claim::Execute(_)) => self.0.caches.new_calls.saw_new(),
            // If the writer cannot write, known calls can still be read.
            Ok(Claim::Replay(_) | Claim::Undelivered(_)) | Err(_) => {
                self.0.caches.new_calls.saw_known();
            }
            Ok(Claim::Busy(_) | Claim::InDoubt(_) | Claim::Mismatch { .. }) => {}
        }
        claim
    }

    /// The outcome of a call that took effect before, from memory or by a read: what [`Store::claim`] would
    /// return, at a fraction of its cost. `None`: only a claim can decide. After many new calls in a row
    /// it is always `None`, since looking is not worth its cost.
    pub fn replay(
        &self,
        key: &CallKey,
        digests: &CallDigests,
    ) -> Result<Option<Arc<Settled>>, Error> {
        // A jump of the wall clock that the writer has not noticed yet ends this window early, and the writer
        // decides.
        let now = self.0.writer.status().now();
        let replay = match self.0.caches.replays.get(&key.holder, now) {
            Some(replay) => replay,
            None if self.is_likely_new() => return Ok(None),
            None => match self.completed(key, now)? {
                None => return Ok(None),
                Some(replay) => {
                    self.0.caches.replays.put(key.holder, replay.clone());
                    replay
                }
            },
        };
        self.0.caches.new_calls.saw_known();
        Ok(digests.is_fingerprint(replay.fingerprint).then_some(replay.settled))
    }

    fn completed(&self, key: &CallKey, now: Timestamp) -> Result<Option<Replay>, Error> {
        let held = self.reader().with(|conn| Ok(answers::of_holder(conn, &key.holder)?))?;
        let jumps = self.0.writer.status().jumps();
        let completed = held.filter(|(found, _)| {
            matches!(found.state, State::Completed { .. }) && !found.is_free(now, &jumps)
        });
        Ok(completed.map(|(found, answer)| Replay {
            fingerprint: found.named_for.or(found.fingerprint).unwrap_or_default(),
            settled: Arc::new(answer::settled(&found, answer)),
            free_at: found.free_at(&jumps),
        }))
    }

    /// Records the outcome of a claimed call, consuming its lease, and wakes its duplicates.
    ///
    /// Never refused for lack of space: it waits until the outcome is on disk. `Internal` if the database
    /// refuses this outcome; it is then recorded as unknown.
    pub async fn finish(&self, lease: Lease, finish: Finish) -> Result<Arc<Settled>, Error> {
        let (id, attempt) = (lease.execution_id(), lease.attempt());
        let writer = lease.consume().ok_or(Error::Internal)?;
        let settled = writer.finish(id, attempt, finish).await;
        if let Err(Error::Internal) = settled {
            // Its duplicates wait, and nobody else will wake them.
            let unknown = lease::unknown("the outcome could not be recorded", "not recorded");
            writer.finish(id, attempt, unknown).await?;
        }
        settled
    }

    /// Notes that a client got the answer of a call, or another answer that reports its outcome: an equal
    /// call under another key is a new one from now on. Claims that are sent later know it. Does not wait;
    /// a crash within a second may lose it.
    pub fn arrived(&self, execution_id: Uuid) {
        if self.0.caches.unconfirmed.remove(execution_id) {
            self.note(move |tx| claims::arrived(tx, execution_id));
        }
    }

    /// Notes that the answer of a call is given again, to another client: until that one lost it as well, an
    /// equal call under another key is a new one. Claims that are sent later know it. Does not wait.
    pub fn given(&self, execution_id: Uuid) {
        if self.is_unconfirmed(execution_id) {
            self.note(move |tx| claims::given(tx, execution_id));
        }
    }

    /// Whether it still matters that the answer of a call arrives: it was given, and is not known to have
    /// arrived.
    pub fn is_unconfirmed(&self, execution_id: Uuid) -> bool {
        self.0.caches.unconfirmed.contains(execution_id)
    }

    /// Notes that the answer of a call did not arrive, or that its client left while it runs: the next equal
    /// call of its session, under whatever key, is its retry. Claims that are sent later know it. Does not
    /// wait. A crash forgets no answer that did not arrive.
    pub fn undelivered(&self, execution_id: Uuid) {
        self.note(move |tx| claims::undelivered(tx, execution_id));
    }

    fn note(
        &self,
        mut work: impl FnMut(&mut Transaction<'_>) -> Result<(), Fail> + Send + 'static,
    ) {
        let work = move |write: &mut Write<'_>| work(&mut write.tx);
        if let Err(error) = self.0.writer.post(Lane::Deferred, work) {
            tracing::debug!(%error, "the fate of an answer was not recorded");
        }
    }

    /// Records an answer that came after its attempt was finished as of unknown outcome: it settles the doubt
    /// as the answer in time would have. Of an attempt that is not the newest any more it is only logged.
    ///
    /// Refused for lack of space, in which case the doubt stays.
    pub async fn finish_late(&self, report: LateReport, finish: Finish) -> Result<(), Error> {
        let LateReport { execution_id, attempt } = report;
        self.write(move |tx| claims::finish_late(tx, execution_id, attempt, &finish)).await
    }

    /// Redeems a retry token: the next identical call runs. Repeating it changes nothing. A token that is
    /// spent or expired, or whose execution is settled, is `Stale`.
    pub async fn redeem(&self, token: &str) -> Result<Uuid, Error> {
        let token = token.to_owned();
        self.write(move |tx| claims::redeem(tx, &token)).await
    }
}
