//! Jobs for the writer: closures that can be run again, answered after the commit.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use store_core::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::engine::status::Status;
use crate::engine::write::Write;
use crate::sqlite::error::{self, Fail};

/// How a job is treated when the queue or the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Refused while the queue or the disk is full: claims, and whatever else can be repeated.
    Ordinary,
    /// As ordinary, but it may wait for the next group, for a second at most: it is not worth its own commit.
    Deferred,
    /// A finish by the API: refused while the queue is full, accepted while the disk is full.
    ApiFinish,
    /// The outcome of a proxied call: never refused. Bounded by the number of running calls.
    Finish,
}

impl Lane {
    /// The job records what a call did: it must not be lost.
    pub(crate) const fn is_outcome(self) -> bool {
        matches!(self, Self::ApiFinish | Self::Finish)
    }
}

/// A job whose result type the writer does not know.
pub(crate) trait Job: Send {
    fn lane(&self) -> Lane;
    /// Does the work inside the open transaction and stores the result. After an error, everything it wrote
    /// must be undone.
    fn run(&mut self, write: &mut Write<'_>) -> Result<(), Fail>;
    /// Stores a refusal as the result.
    fn refuse(&mut self, error: Error);
    /// It could not be written, and stays to be. Its caller gets [`Error::NotYet`] if it has waited this long
    /// since the first time.
    fn park(&mut self, timeout: Duration);
    /// Sends the result, which is now on disk, to the caller.
    fn answer(self: Box<Self>);
}

struct Task<T, F, G> {
    lane: Lane,
    work: F,
    /// The result of the last run, even if that was rolled back.
    result: Option<Result<T, Error>>,
    /// Applied to the result once it is on disk.
    on_commit: G,
    reply: Option<oneshot::Sender<Result<T, Error>>>,
    /// Since when it could not be written.
    parked: Option<Instant>,
}

impl<T, F, G> Job for Task<T, F, G>
where
    T: Send,
    F: FnMut(&mut Write<'_>) -> Result<T, Fail> + Send,
    G: FnOnce(T) -> T + Send,
{
    fn lane(&self) -> Lane {
        self.lane
    }

    fn run(&mut self, write: &mut Write<'_>) -> Result<(), Fail> {
        self.result = Some(Ok((self.work)(write)?));
        Ok(())
    }

    fn refuse(&mut self, error: Error) {
        self.result = Some(Err(error));
    }

    fn park(&mut self, timeout: Duration) {
        let since = *self.parked.get_or_insert_with(Instant::now);
        if since.elapsed() >= timeout
            && let Some(reply) = self.reply.take()
        {
            let _ = reply.send(Err(Error::NotYet));
        }
    }

    fn answer(self: Box<Self>) {
        let Self { result, on_commit, reply, .. } = *self;
        if let (Some(reply), Some(result)) = (reply, result) {
            // A caller that is gone does not undo its job.
            let _ = reply.send(result.map(on_commit));
        }
    }
}

/// A message to the writer's thread.
pub(crate) enum Message {
    Job(Box<dyn Job>, Option<OwnedSemaphorePermit>),
    Stop(oneshot::Sender<()>),
}

/// Sends jobs to the writer.
#[derive(Clone)]
pub(crate) struct WriterHandle {
    messages: mpsc::Sender<Message>,
    capacity: Arc<Semaphore>,
    max_queue: usize,
    status: Arc<Status>,
}

impl std::fmt::Debug for WriterHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WriterHandle")
    }
}

impl WriterHandle {
    /// `max_queue`: how many jobs may wait.
    pub(crate) fn new(
        messages: mpsc::Sender<Message>,
        max_queue: usize,
        status: Arc<Status>,
    ) -> Self {
        Self { messages, capacity: Arc::new(Semaphore::new(max_queue)), max_queue, status }
    }

    pub(crate) fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// How many jobs are waiting.
    pub(crate) fn queued(&self) -> usize {
        self.max_queue.saturating_sub(self.capacity.available_permits())
    }

    /// Waits until the writer has finished all queued jobs and stopped.
    pub(crate) async fn stop(&self) {
        let (reply, stopped) = oneshot::channel();
        if self.messages.send(Message::Stop(reply)).is_ok() {
            // An error means that it has stopped already.
            let _ = stopped.await;
        }
    }

    /// Runs `work` inside a transaction of the writer and returns when it is on disk.
    ///
    /// `work` may run more than once; only one of its transactions is committed. Dropping the future does
    /// not cancel the job.
    pub(crate) async fn run<T, F>(&self, lane: Lane, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&mut Write<'_>) -> Result<T, Fail> + Send + 'static,
    {
        self.run_mapped(lane, work, |result| result).await
    }

    /// [`Self::run`], with `on_commit` applied once to the committed result.
    pub(crate) async fn run_mapped<T, F>(
        &self,
        lane: Lane,
        work: F,
        on_commit: impl FnOnce(T) -> T + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&mut Write<'_>) -> Result<T, Fail> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.submit(lane, work, on_commit, Some(reply))?;
        answer.await.unwrap_or(Err(Error::Closed))
    }

    /// Whether the queue and the disk have capacity for an ordinary job.
    pub(crate) fn accepts_calls(&self) -> bool {
        self.capacity.available_permits() > 0 && self.status.check_accepting().is_ok()
    }

    /// Sends `work` without waiting for it. Jobs run in the order in which they were sent.
    pub(crate) fn post<F>(&self, lane: Lane, work: F) -> Result<(), Error>
    where
        F: FnMut(&mut Write<'_>) -> Result<(), Fail> + Send + 'static,
    {
        self.submit(lane, work, |result| result, None)
    }

    fn submit<T, F>(
        &self,
        lane: Lane,
        work: F,
        on_commit: impl FnOnce(T) -> T + Send + 'static,
        reply: Option<oneshot::Sender<Result<T, Error>>>,
    ) -> Result<(), Error>
    where
        T: Send + 'static,
        F: FnMut(&mut Write<'_>) -> Result<T, Fail> + Send + 'static,
    {
        if !lane.is_outcome() {
            self.status.check_accepting()?;
        }
        let permit = match lane {
            Lane::Finish => None,
            Lane::Ordinary | Lane::Deferred | Lane::ApiFinish => {
                Some(Arc::clone(&self.capacity).try_acquire_owned().map_err(|_| Error::Busy)?)
            }
        };
        let job = Box::new(Task { lane, work, result: None, on_commit, reply, parked: None });
        self.messages.send(Message::Job(job, permit)).map_err(|_| Error::Closed)
    }
}

/// Refuses a job with the public error of an SQLite error.
pub(crate) fn refuse_sql(job: &mut dyn Job, error: &rusqlite::Error) {
    job.refuse(error::public(error));
}
