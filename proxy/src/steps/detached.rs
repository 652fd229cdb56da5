//! Work that goes on when its client leaves.
//!
//! hyper drops a service's future when its connection ends. What follows a claim must not end with
//! it: the connection polls that work only as long as there is a connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future that moves to a separate task when it is dropped before it is done.
pub(crate) struct Detached<T: Send + 'static> {
    work: Option<Work<T>>,
    tracker: TaskTracker,
    runtime: Handle,
    _counted: TaskTrackerToken,
}

impl<T: Send + 'static> Detached<T> {
    /// `tracker` counts the work from now on, wherever it runs. Called inside a runtime.
    pub(crate) fn new(
        tracker: &TaskTracker,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Self {
        Self {
            work: Some(Box::pin(work)),
            tracker: tracker.clone(),
            runtime: Handle::current(),
            _counted: tracker.token(),
        }
    }
}

impl<T: Send + 'static> Future for Detached<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        // Taken out while it is polled, so that `drop` does not poll work that panicked.
        let Some(mut work) = this.work.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            this.work = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Detached<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.tracker.spawn_on(async move { drop(work.await) }, &self.runtime);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn work_outlives_anyone_who_waits_for_it() {
        let tracker = TaskTracker::new();
        let (go, done) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let (go2, done2) = (Arc::clone(&go), Arc::clone(&done));
        let mut detached = Box::pin(Detached::new(&tracker, async move {
            go2.notified().await;
            done2.store(true, Ordering::SeqCst);
        }));
        assert!(
            std::future::poll_fn(|cx| Poll::Ready(detached.as_mut().poll(cx).is_pending())).await
        );
        drop(detached);
        tracker.close();
        go.notify_one();
        tracker.wait().await;
        assert!(done.load(Ordering::SeqCst));
    }
}
