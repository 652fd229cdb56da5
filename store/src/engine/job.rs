//! Jobs for the writer: data and a closure that can be run again, answered after the commit.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use store_core::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::engine::status::Status;
use crate::engine::write::Write;
use crate::sqlite::error::{self, Fail};

/// How a job is treated when there is little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Refused while the queue or the disk is full: claims, and whatever else may be asked again.
    Ordinary,
    /// A finish by the API: refused while the queue is full, taken while the disk is.
    ApiFinish,
    /// The outcome of a proxied call: never refused. Bounded by the calls in flight.
    Finish,
}

/// What the writer can do with a job without knowing its result.
pub(crate) trait Job: Send {
    fn lane(&self) -> Lane;
    /// Does the work inside the open transaction and keeps the result. An error means that what
    /// it wrote must be undone.
    fn run(&mut self, write: &mut Write<'_>) -> Result<(), Fail>;
    /// Keeps a refusal as the result.
    fn refuse(&mut self, error: Error);
    /// Tells the caller the result, which is now on disk.
    fn answer(self: Box<Self>);
}

struct Task<T, F, G> {
    lane: Lane,
    work: F,
    /// Of the last run; one that was rolled back left it too.
    result: Option<Result<T, Error>>,
    /// Makes of the result what the caller may have once it is on disk.
    hand_out: G,
    reply: Option<oneshot::Sender<Result<T, Error>>>,
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

    fn answer(self: Box<Self>) {
        let Self { result, hand_out, reply, .. } = *self;
        if let (Some(reply), Some(result)) = (reply, result) {
            // A caller that has gone away does not undo its job.
            let _ = reply.send(result.map(hand_out));
        }
    }
}

/// What the writer's thread receives.
pub(crate) enum Message {
    Job(Box<dyn Job>, Option<OwnedSemaphorePermit>),
    Stop(oneshot::Sender<()>),
}

/// Hands jobs to the writer.
#[derive(Clone)]
pub(crate) struct WriterHandle {
    messages: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
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
        Self { messages, room: Arc::new(Semaphore::new(max_queue)), max_queue, status }
    }

    pub(crate) fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// How many jobs wait.
    pub(crate) fn queued(&self) -> usize {
        self.max_queue.saturating_sub(self.room.available_permits())
    }

    /// Lets the writer finish what is queued, and waits until it has stopped.
    pub(crate) async fn stop(&self) {
        let (reply, stopped) = oneshot::channel();
        if self.messages.send(Message::Stop(reply)).is_ok() {
            // An error means that it has stopped already.
            let _ = stopped.await;
        }
    }

    /// Runs `work` inside a commit of the writer and returns when that commit is on disk.
    ///
    /// `work` may be run more than once, in transactions of which one is committed. Dropping the
    /// future does not withdraw the job.
    pub(crate) async fn run<T, F>(&self, lane: Lane, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&mut Write<'_>) -> Result<T, Fail> + Send + 'static,
    {
        self.run_and_hand_out(lane, work, |result| result).await
    }

    /// [`Self::run`]; `hand_out` is run once, on the result that was committed.
    pub(crate) async fn run_and_hand_out<T, F>(
        &self,
        lane: Lane,
        work: F,
        hand_out: impl FnOnce(T) -> T + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&mut Write<'_>) -> Result<T, Fail> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.submit(lane, work, hand_out, Some(reply))?;
        answer.await.unwrap_or(Err(Error::Closed))
    }

    /// There is room for an ordinary job, in the queue and on the disk.
    pub(crate) fn takes_calls(&self) -> bool {
        self.room.available_permits() > 0 && !self.status.full.load(Ordering::Relaxed)
    }

    /// Hands `work` over without waiting for it; jobs run in the order in which they were handed over.
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
        hand_out: impl FnOnce(T) -> T + Send + 'static,
        reply: Option<oneshot::Sender<Result<T, Error>>>,
    ) -> Result<(), Error>
    where
        T: Send + 'static,
        F: FnMut(&mut Write<'_>) -> Result<T, Fail> + Send + 'static,
    {
        if lane == Lane::Ordinary && self.status.full.load(Ordering::Relaxed) {
            return Err(Error::Full);
        }
        let permit = match lane {
            Lane::Finish => None,
            Lane::Ordinary | Lane::ApiFinish => {
                Some(Arc::clone(&self.room).try_acquire_owned().map_err(|_| Error::Busy)?)
            }
        };
        let job = Box::new(Task { lane, work, result: None, hand_out, reply });
        self.messages.send(Message::Job(job, permit)).map_err(|_| Error::Closed)
    }
}

/// Refuses a job with what an SQLite error means to its caller.
pub(crate) fn refuse_sql(job: &mut dyn Job, error: &rusqlite::Error) {
    job.refuse(error::public(error));
}
