//! How far a body that flows may be ahead of its client.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

use super::memory::counted;

/// How many frames are handed over that were not written yet. hyper itself would take 400 KiB.
const FRAMES: usize = 2;

/// Counts the frames of one body that are in memory until they are written.
#[derive(Debug)]
pub(super) struct Window {
    free: PollSemaphore,
    /// For the next frame.
    place: Option<OwnedSemaphorePermit>,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { free: PollSemaphore::new(Arc::new(Semaphore::new(FRAMES))), place: None }
    }

    /// Ready when another frame may be handed over.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.place.is_none() {
            self.place = ready!(self.free.poll_acquire(cx));
        }
        Poll::Ready(())
    }

    /// The data of a frame, which takes a place until it is written.
    pub(super) fn take_in(&mut self, data: Bytes) -> Bytes {
        match self.place.take() {
            Some(place) if !data.is_empty() => counted(data, [place]),
            _ => data,
        }
    }
}
