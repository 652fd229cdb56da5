#![allow(clippy::todo, unused_variables, dead_code, clippy::unused_async)]
use crate::call::*;
use crate::key::Digest;
use crate::model::*;
use crate::{Error, Lease, Options, Report};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;
#[derive(Debug, Clone)]
pub struct WriterHandle;
impl WriterHandle {
    pub(crate) fn finish_dropped(&self, id: Uuid, attempt: u32, finish: Finish) {}
}
// The public methods of the store (bodies are being written in store/src/sqlite/). Code against these signatures.

/// The store. Clone is cheap (Arc). All `async fn` return after the commit is fsynced.
#[derive(Clone, Debug)]
pub struct Store;
impl Store {
    /// Blocking: takes the lock, migrates, recovers, starts the writer and checkpointer threads.
    pub fn open(options: Options) -> Result<Store, Error> {
        todo!()
    }
    /// Flushes the writer, checkpoints, marks a clean stop, releases the lock.
    pub async fn close(&self) {
        todo!()
    }
    /// Resolves when the writer died (failed fsync, IOERR, CORRUPT, panic): the process must exit non-zero at once.
    pub async fn failed(&self) -> String {
        todo!()
    }
    /// Writes the API address to the lock file, so that CLI verbs find the server.
    pub fn announce(&self, api_url: &str) -> Result<(), Error> {
        todo!()
    }
    pub fn reader(&self) -> &Reader {
        todo!()
    }
    pub fn health(&self) -> Health {
        todo!()
    }

    pub async fn create_user(&self, new: NewUser) -> Result<User, Error> {
        todo!()
    }
    pub async fn create_session(&self, new: NewSession) -> Result<Session, Error> {
        todo!()
    }
    pub async fn update_session(
        &self,
        update: SessionUpdate,
        if_updated_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        todo!()
    }
    pub async fn create_goal(&self, new: NewGoal) -> Result<Goal, Error> {
        todo!()
    }
    pub async fn update_goal(
        &self,
        update: GoalUpdate,
        if_updated_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        todo!()
    }
    pub async fn create_memory(&self, new: NewMemory) -> Result<Memory, Error> {
        todo!()
    }
    pub async fn update_memory(
        &self,
        update: MemoryUpdate,
        if_updated_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        todo!()
    }
    pub async fn create_channel(&self, new: NewChannel) -> Result<Channel, Error> {
        todo!()
    }
    pub async fn update_channel(
        &self,
        update: ChannelUpdate,
        if_updated_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        todo!()
    }

    pub async fn create_tool_execution(&self, call: ToolCall) -> Result<Execution, Error> {
        todo!()
    }
    pub async fn update_tool_execution(
        &self,
        update: ExecutionUpdate,
        if_updated_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        todo!()
    }
    pub async fn execute(
        &self,
        call: ToolCall,
        options: ExecuteOptions,
    ) -> Result<Executed, Error> {
        todo!()
    }
    pub async fn finish_by_token(&self, finish: ApiFinish) -> Result<Execution, Error> {
        todo!()
    }
    pub async fn extend_lease(&self, lease: &str, ttl: Duration) -> Result<Execution, Error> {
        todo!()
    }
    pub async fn resolve(&self, verdict: Verdict) -> Result<Execution, Error> {
        todo!()
    }
    /// Returns as soon as the execution is terminal or in doubt, or with its present state at the timeout.
    pub async fn await_execution(&self, id: Uuid, timeout: Duration) -> Result<Execution, Error> {
        todo!()
    }

    // For the proxy
    /// Finds (or, for names, makes) whose call it is. Cached. NotFound / SessionEnded / Foreign.
    pub async fn scope(&self, request: &ScopeRequest) -> Result<Scope, Error> {
        todo!()
    }
    pub async fn claim(&self, call: Call) -> Result<Claim, Error> {
        todo!()
    }
    /// Consumes the lease. Waits for room for ever: an outcome is never refused. Err only when the store is full/closed.
    pub async fn finish(&self, lease: Lease, finish: Finish) -> Result<Arc<Settled>, Error> {
        todo!()
    }
    /// Redeems a retry token (POST to confirm_url): marks the doubt as released. Safe to repeat. Returns the execution id.
    pub async fn redeem(&self, token: &str) -> Result<Uuid, Error> {
        todo!()
    }
    /// Counts something that is no execution (`passed`, `bypassed`, `replayed`, `tunnel` with the host as `what`); one event row a minute each (kind, what).
    pub fn count(&self, kind: &'static str, what: &str) {
        todo!()
    }
    /// A keyed digest under the store's secret: equal inputs, equal digests, and no way back.
    pub fn keyed_digest(&self, label: &str, bytes: &[u8]) -> Digest {
        todo!()
    }
    /// The proxy token of a session, as `token SESSION` prints it.
    pub fn session_token(&self, session: &str) -> String {
        todo!()
    }
    /// Constant time.
    pub fn check_session_token(&self, session: &str, token: &str) -> bool {
        todo!()
    }
}

/// Reads. Clone is cheap. Sync methods: point reads take microseconds (call them inline);
/// lists and `stats`/`verify` belong into tokio::task::spawn_blocking.
#[derive(Clone, Debug)]
pub struct Reader;
impl Reader {
    /// Opens a database whose engine is stopped, for reading only. `running` executions of it are of unknown outcome.
    pub fn open(path: &Path) -> Result<Reader, Error> {
        todo!()
    }
    pub fn user(&self, id: Uuid) -> Result<User, Error> {
        todo!()
    }
    pub fn user_by_name(&self, username: &str) -> Result<User, Error> {
        todo!()
    }
    pub fn session(&self, id: Uuid) -> Result<Session, Error> {
        todo!()
    }
    pub fn active_session(&self, user_id: Uuid) -> Result<Option<Session>, Error> {
        todo!()
    }
    pub fn sessions(&self, user_id: Option<Uuid>) -> Result<Vec<Session>, Error> {
        todo!()
    }
    pub fn goal(&self, id: Uuid) -> Result<Goal, Error> {
        todo!()
    }
    pub fn goals(&self, session_id: Uuid) -> Result<Vec<Goal>, Error> {
        todo!()
    }
    pub fn pending_goals(&self, session_id: Uuid) -> Result<Vec<Goal>, Error> {
        todo!()
    }
    pub fn execution(&self, id: Uuid) -> Result<Execution, Error> {
        todo!()
    }
    pub fn execution_by_key(
        &self,
        key: &str,
        user_id: Option<Uuid>,
    ) -> Result<Option<Execution>, Error> {
        todo!()
    }
    pub fn executions_of_goal(&self, goal_id: Uuid) -> Result<Vec<Execution>, Error> {
        todo!()
    }
    pub fn executions_of_session(
        &self,
        session_id: Uuid,
        limit: usize,
        after: Option<Uuid>,
    ) -> Result<Vec<Execution>, Error> {
        todo!()
    }
    pub fn executions(
        &self,
        filter: &ExecutionFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Execution>, Error> {
        todo!()
    }
    pub fn memory(&self, id: Uuid) -> Result<Memory, Error> {
        todo!()
    }
    pub fn memories(&self, user_id: Uuid, limit: usize) -> Result<Vec<Memory>, Error> {
        todo!()
    }
    pub fn channel(&self, id: Uuid) -> Result<Channel, Error> {
        todo!()
    }
    pub fn channels(&self, user_id: Uuid) -> Result<Vec<Channel>, Error> {
        todo!()
    }
    pub fn events(
        &self,
        execution_id: Option<Uuid>,
        session_id: Option<Uuid>,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Event>, Error> {
        todo!()
    }
    pub fn stats(&self) -> Result<Stats, Error> {
        todo!()
    }
    /// Walks chain and invariants. `head`: a head that an earlier run printed (`seq:hash`); a cut tail then shows.
    pub fn verify(&self, head: Option<&str>) -> Result<Report, Error> {
        todo!()
    }
}

/// What /readyz and /metrics show.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Health {
    pub ready: bool,
    /// What is not right, in words; empty when ready.
    pub problems: Vec<String>,
    pub full: bool,
    pub clock_jumped: bool,
    pub queue_depth: u64,
    pub in_flight: u64, // proxied calls under a lease
    pub in_doubt: u64,
    pub database_bytes: u64,
    pub wal_bytes: u64,
    pub commits: u64,
    pub commit_seconds: Histogram,
    pub events: u64,
}

/// Cumulative counts by upper bound in seconds.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Histogram {
    pub sum: f64,
    pub count: u64,
    pub buckets: Vec<(f64, u64)>,
}
