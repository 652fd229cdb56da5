//! How long something may make no progress.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Runs while something is waited for. The time starts again with each wait.
#[derive(Debug)]
pub(crate) struct StallTimer {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl StallTimer {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, timer: None, waiting: false }
    }

    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    /// Waits from now on for so long.
    pub(crate) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
        self.waiting = false;
    }

    /// What was waited for has come.
    pub(crate) fn progress(&mut self) {
        self.waiting = false;
    }

    /// Ready when nothing has come for too long. Polled while nothing comes.
    pub(crate) fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.waiting {
            self.waiting = true;
            let deadline = Instant::now() + self.limit;
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(deadline),
                None => self.timer = Some(Box::pin(sleep_until(deadline))),
            }
        }
        if let Some(timer) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
        }
        Poll::Ready(())
    }
}
