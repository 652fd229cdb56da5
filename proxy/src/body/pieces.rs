//! Whole bodies of answers, which clients take piece by piece.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::Frame;
use store::Store;
use store::call::StoredBody;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::memory::{AnswerMemory, counted};
use super::spool::SpooledBody;

/// A whole body of an answer, wherever it is.
#[derive(Debug, Clone)]
pub(crate) enum WholeBody {
    Memory(Bytes),
    File(SpooledBody),
    Stored(StoredBody),
}

impl WholeBody {
    /// Its length in bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(body) => body.len(),
            Self::Stored(body) => body.size,
        }
    }
}

type Reading = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>;

/// A body outside of memory on its way to a client. The next piece is read once the last one was
/// written, so that a client that takes nothing holds one piece.
pub(super) struct Pieces {
    body: WholeBody,
    at: u64,
    memory: Arc<AnswerMemory>,
    store: Store,
    /// One permit: a piece has it until it is written.
    turn: Arc<Semaphore>,
    reading: Option<Reading>,
    pub(super) trailers: Option<HeaderMap>,
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Pieces {
    pub(super) fn new(
        body: WholeBody,
        trailers: Option<HeaderMap>,
        memory: &Arc<AnswerMemory>,
        store: &Store,
    ) -> Self {
        let (memory, store) = (Arc::clone(memory), store.clone());
        let turn = Arc::new(Semaphore::new(1));
        Self { body, at: 0, memory, store, turn, reading: None, trailers }
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> u64 {
        self.body.len().saturating_sub(self.at)
    }

    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left() == 0 {
            return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let (body, at, left) = (&self.body, self.at, self.left());
        let reading = self.reading.get_or_insert_with(|| {
            let turn = Arc::clone(&self.turn).acquire_owned();
            Box::pin(piece(
                body.clone(),
                at,
                left,
                Arc::clone(&self.memory),
                self.store.clone(),
                turn,
            ))
        });
        let read = ready!(reading.as_mut().poll(cx));
        self.reading = None;
        Poll::Ready(Some(read.map(|bytes| {
            self.at += bytes.len() as u64;
            Frame::data(bytes)
        })))
    }
}

/// The next piece of a body, once the last one was written.
async fn piece(
    body: WholeBody,
    at: u64,
    left: u64,
    memory: Arc<AnswerMemory>,
    store: Store,
    turn: impl Future<Output = Result<OwnedSemaphorePermit, tokio::sync::AcquireError>>,
) -> io::Result<Bytes> {
    let turn = turn.await.map_err(io::Error::other)?;
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let (size, share) = memory.piece(left).await?;
    let bytes = match body {
        WholeBody::Memory(bytes) => bytes.slice(at as usize..at as usize + size),
        WholeBody::File(body) => body.part(at, size).await?,
        WholeBody::Stored(body) => memory.read(&store, body, at, size).await?,
    };
    Ok(counted(bytes, [turn, share]))
}
