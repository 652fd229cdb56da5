//! The store as its users see it: each method is a job for the writer, or a read.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::error::Fail;
use super::ids::Place;
use super::job::{Lane, Message, WriterHandle};
use super::lock::DatabaseLock;
use super::reader::Reader;
use super::replays::Replays;
use super::scope::Scopes;
use super::stats::{self, Health};
use super::streak::Streak;
use super::write::Write;
use super::{entities, execute, settle};
use crate::Error;
use crate::decision::Decision;
use crate::key::Digest;
use crate::model::{
    Channel, ChannelUpdate, Execution, ExecutionUpdate, Goal, GoalUpdate, Memory, MemoryUpdate,
    NewChannel, NewGoal, NewMemory, NewSession, NewUser, Session, SessionUpdate, Timestamp,
    ToolCall, User,
};
use crate::token::Secret;

/// The store. Cloning is cheap.
///
/// A method that returns `Ok` has its change on disk. A dropped future does not withdraw its job.
/// `Busy` and `Full` mean that nothing was changed; `Closed` that the engine is stopping.
#[derive(Clone)]
pub struct Store(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) writer: WriterHandle,
    pub(super) reader: Reader,
    pub(super) secret: Secret,
    pub(super) scopes: Arc<Scopes>,
    pub(super) replays: Arc<Replays>,
    pub(super) streak: Streak,
    pub(super) places: Cache<(Uuid, Uuid, Uuid), Place>,
    pub(super) lock: DatabaseLock,
    pub(super) max_queue: usize,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Writes what is queued, checkpoints and stops the writer. Later calls get `Closed`.
    pub async fn close(&self) {
        let (reply, stopped) = oneshot::channel();
        if self.0.writer.messages.send(Message::Stop(reply)).is_ok() {
            // An error means that it has stopped already.
            let _ = stopped.await;
        }
    }

    /// Tells other processes, by the lock file, where the API listens (`http://127.0.0.1:3030`).
    pub fn announce(&self, api_url: &str) -> Result<(), Error> {
        self.0.lock.announce(api_url).map_err(|error| {
            tracing::error!(%error, "the lock file cannot be written");
            Error::Internal
        })
    }

    /// Reads.
    pub fn reader(&self) -> &Reader {
        &self.0.reader
    }

    /// How the store is, without touching the database.
    pub fn health(&self) -> Health {
        let used = self.0.max_queue.saturating_sub(self.0.writer.room.available_permits());
        self.0.writer.shared.queued.store(used as i64, std::sync::atomic::Ordering::Relaxed);
        stats::health(&self.0.reader)
    }

    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&mut Write<'_>) -> Result<T, Fail> + Send + 'static,
    {
        self.0.writer.run(Lane::Ordinary, work).await
    }

    /// Makes a user. Refused (`Conflict`) where the name is taken.
    pub async fn create_user(&self, new: NewUser) -> Result<User, Error> {
        let id = self.write(move |write| entities::create_user(write, &new)).await?;
        self.reader().user(id)
    }

    /// Makes a session of a user.
    pub async fn create_session(&self, new: NewSession) -> Result<Session, Error> {
        let id = self.write(move |write| entities::create_session(write, &new)).await?;
        self.reader().session(id)
    }

    /// Changes a session; refused (`Conflict`) where it is newer than `if_updated_at`.
    pub async fn update_session(
        &self,
        update: SessionUpdate,
        if_updated_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.write(move |write| entities::update_session(write, &update, if_updated_at)).await
    }

    /// Makes a goal. Refused (`Foreign`) where the session belongs to another user.
    pub async fn create_goal(&self, new: NewGoal) -> Result<Goal, Error> {
        let id = self.write(move |write| entities::create_goal(write, &new)).await?;
        self.reader().goal(id)
    }

    /// Changes a goal; refused (`Conflict`) where it is newer than `if_updated_at`.
    pub async fn update_goal(
        &self,
        update: GoalUpdate,
        if_updated_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.write(move |write| entities::update_goal(write, &update, if_updated_at)).await
    }

    /// Makes a memory of a user.
    pub async fn create_memory(&self, new: NewMemory) -> Result<Memory, Error> {
        let id = self.write(move |write| entities::create_memory(write, &new)).await?;
        self.reader().memory(id)
    }

    /// Changes a memory; refused (`Conflict`) where it is newer than `if_updated_at`.
    pub async fn update_memory(
        &self,
        update: MemoryUpdate,
        if_updated_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.write(move |write| entities::update_memory(write, &update, if_updated_at)).await
    }

    /// Makes a channel of a user.
    pub async fn create_channel(&self, new: NewChannel) -> Result<Channel, Error> {
        let id = self.write(move |write| entities::create_channel(write, &new)).await?;
        self.reader().channel(id)
    }

    /// Changes a channel; refused (`Conflict`) where it is newer than `if_updated_at`.
    pub async fn update_channel(
        &self,
        update: ChannelUpdate,
        if_updated_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.write(move |write| entities::update_channel(write, &update, if_updated_at)).await
    }

    /// Records a tool call without a key, as `pending`.
    pub async fn create_tool_execution(&self, call: ToolCall) -> Result<Execution, Error> {
        entities::check_name("tool_name", &call.tool_name)?;
        let place = self.place(&call)?;
        let (_, row) = self.write(move |write| execute::create(write, &call, place)).await?;
        self.reader().execution_row(row)
    }

    /// Changes an execution that was never leased. Refused (`LeaseLost`) where it was, and
    /// (`IllegalTransition`) where its state has no such step.
    pub async fn update_tool_execution(
        &self,
        update: ExecutionUpdate,
        if_updated_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.write(move |write| settle::update(write, &update, if_updated_at)).await
    }

    /// Counts something that is no execution; written to the log as one row a minute of each
    /// (kind, what). A crash loses the running minute's counts.
    pub fn count(&self, decision: Decision, what: &str) {
        self.0.writer.shared.count(decision.as_str(), what);
    }

    /// Notes that a duplicate of an execution was stopped, and how it was answered. Counted on the execution within seconds, as one event a minute at most; a
    /// crash loses what was not yet written.
    pub fn duplicate(&self, execution: Uuid, answered: Decision) {
        self.0.writer.shared.duplicates.note(execution, answered.as_str());
    }

    /// How many duplicates were stopped since the start.
    pub fn duplicates(&self) -> u64 {
        self.0.writer.shared.duplicates.total()
    }

    /// Tells the number of the newest event whenever there is a newer one.
    pub fn newest_event(&self) -> watch::Receiver<i64> {
        self.0.writer.shared.newest.subscribe()
    }

    /// A digest under the store's secret: equal for equal inputs, and no way back.
    pub fn keyed_digest(&self, label: &str, bytes: &[u8]) -> Digest {
        self.0.secret.digest(label, bytes)
    }

    /// The proxy token of a session, as `token SESSION` prints it.
    pub fn session_token(&self, session: &str) -> String {
        self.0.secret.session_token(session)
    }

    /// Whether `token` is the session's; in constant time.
    pub fn check_session_token(&self, session: &str, token: &str) -> bool {
        self.0.secret.check_session_token(session, token)
    }

    /// Waits until an execution is terminal or in doubt, at most for `timeout`; as it is then.
    pub async fn await_execution(&self, id: Uuid, timeout: Duration) -> Result<Execution, Error> {
        let work = move |write: &mut Write<'_>| {
            let execution = super::claim::brief_of(write, id)?;
            let over = execution.state.is_terminal() || execution.state.outcome().is_some();
            Ok((!over).then(|| write.waiter(&execution)))
        };
        // It is about a call in flight, also where the disk has no room for new ones.
        let waiter = self.0.writer.run(Lane::ApiFinish, work).await?;
        if let Some(waiter) = waiter {
            // At the timeout the execution is told as it is.
            let _ = tokio::time::timeout(timeout, waiter.settled()).await;
        }
        self.reader().execution(id)
    }
}
