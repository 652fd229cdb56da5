//! The store as its users see it: each method is a job for the writer, or a read.

mod api;
mod entities;
mod proxied;
pub(crate) mod repeats;

use std::sync::Arc;

use store_core::Error;
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
/// A method that returns `Ok` has its change on disk. A dropped future does not withdraw its job.
/// `Busy` and `Full` mean that nothing was changed; `Closed` that the engine is stopping.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    writer: WriterHandle,
    reader: Reader,
    secret: Secret,
    caches: Arc<Caches>,
    lock: DatabaseLock,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Takes the lock, migrates, recovers from an unclean stop and starts the store's threads.
    ///
    /// Blocks for the checkpoint of what the log holds. When it returns, every execution that the
    /// proxy of an earlier process left running is in doubt (class `idempotent`: failed), and API
    /// leases have their full time to live before them. Refused (`Locked`) while another process
    /// owns the database. Sets the process's umask to 077: all files are the owner's alone.
    pub fn open(options: &Options) -> Result<Self, Error> {
        Self::open_at(options, Arc::new(SystemClock))
    }

    /// [`Self::open`]; the writer reads the time from `clock`.
    pub(crate) fn open_at(options: &Options, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let engine = open::start(options, clock)?;
        Ok(Self(Arc::new(Inner {
            reader: Reader::new(&options.path, engine.writer.status()),
            writer: engine.writer,
            secret: engine.secret,
            caches: engine.caches,
            lock: engine.lock,
        })))
    }

    /// Writes what is queued, checkpoints and stops the writer. Later calls get `Closed`.
    pub async fn close(&self) {
        self.0.writer.stop().await;
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
        stats::health(&self.0.reader, self.0.writer.queued())
    }

    /// Runs a job that is refused where there is no room for new calls.
    pub(crate) async fn write<T, F>(&self, mut work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T, Fail> + Send + 'static,
    {
        let work = move |write: &mut Write<'_>| work(&mut write.tx);
        self.0.writer.run(Lane::Ordinary, work).await
    }

    /// Runs a job about a call that was granted: it is taken also where the disk is full.
    async fn write_finish<T, F>(&self, mut work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T, Fail> + Send + 'static,
    {
        let work = move |write: &mut Write<'_>| work(&mut write.tx);
        self.0.writer.run(Lane::ApiFinish, work).await
    }

    /// May a look for the call's key be left to the writer, which looks in any case. Where that takes
    /// no calls what is known is still answered.
    fn is_likely_new(&self) -> bool {
        self.0.caches.new_calls.expects_new() && self.0.writer.takes_calls()
    }

    /// Counts something that is no execution; written to the log as one row a minute of each
    /// (kind, what). A crash loses the running minute's counts.
    pub fn count(&self, kind: &'static str, what: &str) {
        self.0.writer.status().count(kind, what);
    }

    /// Notes that a duplicate of an execution was stopped, and how it was answered (`replayed`,
    /// `coalesced`, …). Counted on the execution within seconds, as one event a minute at most; a
    /// crash loses what was not yet written.
    pub fn duplicate(&self, execution: Uuid, answered: &'static str) {
        self.0.writer.status().duplicates.note(execution, answered);
    }

    /// How many duplicates were stopped since the start.
    pub fn duplicates(&self) -> u64 {
        self.0.writer.status().duplicates.total()
    }

    /// Tells the number of the newest event whenever there is a newer one.
    pub fn newest_event(&self) -> watch::Receiver<i64> {
        self.0.writer.status().newest()
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
}
