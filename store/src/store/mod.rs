//! The public API of the store: each method is a job for the writer, or a read.

mod api;
mod entities;
mod proxied;
pub(crate) mod repeats;

use std::sync::Arc;

use store_core::Error;
use store_core::decision::Decision;
use store_core::key::Digest;
use tokio::sync::watch;
use uuid::Uuid;

use crate::clock::{Clock, SystemClock};
use crate::engine::caches::Caches;
use crate::engine::job::{Lane, WriterHandle};
use crate::engine::lock::DatabaseLock;
use crate::engine::open;
use crate::engine::write::Write;
use crate::options::Options;
use crate::read::reader::Reader;
use crate::read::stats::{self, Health};
use crate::sqlite::error::Fail;
use crate::sqlite::transaction::Transaction;
use crate::token::Secret;

/// The store. Cloning is cheap.
///
/// When a method returns `Ok`, its change is on disk. Dropping a future does not cancel its job. `Busy` and
/// `Full` mean that nothing was changed, `Closed` that the engine is stopping.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    writer: WriterHandle,
    reader: Reader,
    secret: Secret,
    caches: Arc<Caches>,
    lock: Arc<DatabaseLock>,
}

impl Drop for Inner {
    /// The store's threads may still be about to end.
    fn drop(&mut self) {
        self.lock.release();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Takes the lock, migrates, recovers from an unclean stop and starts the store's threads.
    ///
    /// Blocks for a checkpoint of the write-ahead log. When it returns, every execution that the proxy of
    /// an earlier process left running is in doubt (class `idempotent`: failed), and every API lease has
    /// its full time to live again. Refused with `Locked` while another process owns the database. Sets
    /// the process's umask to 077, so that only the owner can read the files.
    pub fn open(options: &Options) -> Result<Self, Error> {
        Self::open_at(options, Arc::new(SystemClock))
    }

    /// [`Self::open`]; the writer reads the time from `clock`.
    pub(crate) fn open_at(options: &Options, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let engine = open::start(options, clock)?;
        Ok(Self(Arc::new(Inner {
            reader: Reader::of_owner(&engine.lock, engine.watch, engine.writer.status()),
            writer: engine.writer,
            secret: engine.secret,
            caches: engine.caches,
            lock: engine.lock,
        })))
    }

    /// Writes all queued jobs, checkpoints and stops the writer. Later calls get `Closed`.
    pub async fn close(&self) {
        self.0.writer.stop().await;
    }

    /// Writes to the lock file where the API listens (`http://127.0.0.1:3030`), for other processes.
    pub fn announce(&self, api_url: &str) -> Result<(), Error> {
        self.0.lock.announce(api_url).map_err(|error| {
            tracing::error!(%error, "cannot write the lock file");
            Error::Internal
        })
    }

    /// Waits until the files are no longer those of this engine: they were deleted, replaced or truncated.
    /// Returns how. New calls are refused from then on; what is recorded may be lost.
    pub async fn lost(&self) -> String {
        let mut lost = self.0.writer.status().lost();
        match lost.wait_for(Option::is_some).await {
            Ok(how) => how.clone().unwrap_or_default(),
            // The sender lives as long as this store.
            Err(_) => std::future::pending().await,
        }
    }

    /// How the files were lost; `None` while they are this engine's.
    pub fn is_lost(&self) -> bool {
        self.0.writer.status().is_lost()
    }

    /// The reader of this store.
    pub fn reader(&self) -> &Reader {
        &self.0.reader
    }

    /// The health of the store, without touching the database.
    pub fn health(&self) -> Health {
        stats::health(&self.0.reader, self.0.writer.queued())
    }

    /// Runs a job that is refused if there is no capacity for new calls.
    pub(crate) async fn write<T, F>(&self, mut work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T, Fail> + Send + 'static,
    {
        let work = move |write: &mut Write<'_>| work(&mut write.tx);
        self.0.writer.run(Lane::Ordinary, work).await
    }

    /// Runs a job that concerns a granted call: it is accepted even if the disk is full.
    async fn write_finish<T, F>(&self, mut work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T, Fail> + Send + 'static,
    {
        let work = move |write: &mut Write<'_>| work(&mut write.tx);
        self.0.writer.run(Lane::ApiFinish, work).await
    }

    /// Whether to leave looking up the call's key to the writer, which looks it up in any case. Not if the
    /// writer accepts no calls: known calls are still answered then.
    fn is_likely_new(&self) -> bool {
        self.0.caches.new_calls.expects_new() && self.0.writer.accepts_calls()
    }

    /// Counts a request that is not an execution. The log gets one row a minute for each (kind, what). A
    /// crash loses the counts of the current minute.
    pub fn count(&self, decision: Decision, what: &str) {
        self.0.writer.status().count(decision.as_str(), what);
    }

    /// Counts a stopped duplicate of an execution, by how it was answered.
    /// Written to the execution within seconds, with at most one event a minute. A crash loses what was
    /// not written yet.
    pub fn duplicate(&self, execution: Uuid, answered: Decision) {
        self.0.writer.status().duplicates.note(execution, answered.as_str());
    }

    /// How many duplicates were stopped since the start of the process.
    pub fn duplicates(&self) -> u64 {
        self.0.writer.status().duplicates.total()
    }

    /// Watches the number of the newest event.
    pub fn newest_event(&self) -> watch::Receiver<i64> {
        self.0.writer.status().newest()
    }

    /// HMAC-SHA256 under the store's secret: equal for equal inputs, and not reversible.
    pub fn keyed_digest(&self, label: &str, bytes: &[u8]) -> Digest {
        self.0.secret.digest(label, bytes)
    }

    /// The proxy token of a session, as `token SESSION` prints it.
    pub fn session_token(&self, session: &str) -> String {
        self.0.secret.session_token(session)
    }

    /// Whether `token` belongs to the session. Compares in constant time.
    pub fn check_session_token(&self, session: &str, token: &str) -> bool {
        self.0.secret.check_session_token(session, token)
    }
}
