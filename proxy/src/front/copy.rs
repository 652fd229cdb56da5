//! Copies bytes both ways between two connections.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::time::sleep;

/// Copies until both ends have closed or one has failed. After one end has closed, the other may be
/// silent for `limit`, or up to twice that: it may never notice that nobody listens.
pub(crate) async fn copy_both_ways(
    one: impl AsyncRead + AsyncWrite + Unpin,
    other: impl AsyncRead + AsyncWrite + Unpin,
    limit: Duration,
) {
    let activity = Activity::default();
    let mut one = Watched { io: one, activity: &activity };
    let mut other = Watched { io: other, activity: &activity };
    tokio::select! {
        _ = copy_bidirectional(&mut one, &mut other) => {}
        () = activity.half_closed_and_silent(limit) => {}
    }
}

/// What was read from either end.
#[derive(Debug, Default)]
struct Activity {
    reads: AtomicU64,
    half_closed: AtomicBool,
}

impl Activity {
    async fn half_closed_and_silent(&self, limit: Duration) {
        let mut before = None;
        loop {
            let reads = self.half_closed.load(Ordering::Acquire).then(|| self.reads());
            if reads.is_some() && reads == before {
                return;
            }
            before = reads;
            sleep(limit).await;
        }
    }

    fn reads(&self) -> u64 {
        self.reads.load(Ordering::Acquire)
    }
}

/// Notes what is read.
struct Watched<'a, I> {
    io: I,
    activity: &'a Activity,
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<'_, I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.io).poll_read(cx, buf);
        if polled.is_ready() {
            this.activity.reads.fetch_add(1, Ordering::AcqRel);
            if buf.filled().len() == before {
                this.activity.half_closed.store(true, Ordering::Release);
            }
        }
        polled
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<'_, I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
