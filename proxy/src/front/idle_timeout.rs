//! For how long the client of a connection may stay silent, or take nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::body::stall_timer::Patience;
use crate::front::turn::{HEAD, IDLE, Turn, UPGRADED};

/// For how long what a refused client still sends is read and thrown away. A connection that is
/// closed with unread bytes is reset, and the client never sees why it was refused.
const LINGER: Duration = Duration::from_secs(10);

/// For how long the client of a connection may keep it waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Between two requests.
    pub(crate) idle: Duration,
    /// From the first byte of a request's head to its last.
    pub(crate) head: Duration,
    /// While an answer is written and none of it is taken.
    pub(crate) taking: Duration,
}

/// A client's connection that is given up when it is idle, a request's head incomplete, or an answer
/// not taken, for too long. (hyper's `header_read_timeout` cannot tell the first two apart.)
#[derive(Debug)]
pub(crate) struct Watched<I> {
    io: I,
    turn: Arc<Turn>,
    limits: Limits,
    /// With a client that takes nothing.
    patience: Patience,
    /// Whose turn it was, after how many requests, and since when.
    since: Option<((u8, usize), Instant)>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Something was written and not flushed.
    unflushed: bool,
    /// When something was written last, or since, a read has found nothing: what the client does from
    /// here on, it does after it. An end that was there before, and is only read now, tells nothing.
    silent: bool,
    /// What such a read has found before its time.
    ahead: Ahead,
    /// A read has failed. The system tells a reset once; what is read after it looks like an end in
    /// good order.
    broken: bool,
    shut: bool,
}

impl<I> Watched<I> {
    pub(crate) fn new(io: I, turn: Arc<Turn>, limits: Limits) -> Self {
        Self {
            io,
            turn,
            limits,
            patience: Patience::new(limits.taking),
            since: None,
            timer: None,
            unflushed: false,
            silent: false,
            ahead: Ahead::default(),
            broken: false,
            shut: false,
        }
    }

    pub(crate) fn into_inner(self) -> I {
        self.io
    }

    /// Ready when the client has been silent for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let turn = self.turn.whose();
        let limit = match turn {
            IDLE => self.limits.idle,
            HEAD => self.limits.head,
            _ => {
                self.since = None;
                return Poll::Pending;
            }
        };
        let turn = (turn, self.turn.begun.load(Ordering::Acquire));
        let start = match self.since {
            Some((of, start)) if of == turn => start,
            _ => {
                let now = Instant::now();
                self.since = Some((turn, now));
                now
            }
        };
        let deadline = start + limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// What a write has come to; an error where the client has taken nothing for too long.
    fn taken<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.patience.rest();
            return written;
        }
        if self.turn.whose() == UPGRADED {
            return Poll::Pending;
        }
        ready!(self.patience.poll_over(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

/// What was read before anybody asked for it.
#[derive(Debug, Default)]
struct Ahead {
    bytes: Vec<u8>,
    end: bool,
}

impl<I: AsyncRead + Unpin> Watched<I> {
    /// Something is about to be written. Where it matters whether it arrives, sees first whether the
    /// client is still there.
    fn before_write(&mut self, cx: &mut Context<'_>) {
        (self.unflushed, self.silent) = (true, false);
        if !self.turn.is_owed() || self.ahead.end || !self.ahead.bytes.is_empty() {
            return;
        }
        let mut bytes = [0; 1024];
        let mut buf = ReadBuf::new(&mut bytes);
        match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
            Poll::Pending => self.silent = true,
            Poll::Ready(Err(_)) => self.broken = true,
            Poll::Ready(Ok(())) if buf.filled().is_empty() => self.ahead.end = true,
            Poll::Ready(Ok(())) => self.ahead.bytes.extend_from_slice(buf.filled()),
        }
    }

    /// Reads what was read ahead, then what comes.
    fn poll_next(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.bytes.is_empty() {
            let length = self.ahead.bytes.len().min(buf.remaining());
            buf.put_slice(&self.ahead.bytes[..length]);
            self.ahead.bytes.drain(..length);
            return Poll::Ready(Ok(()));
        }
        if self.ahead.end {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }

    /// Ready when the client has nothing more to say, or has said too much for too long.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut thrown_away = [0; 16 * 1024];
        loop {
            if self.timer.as_mut().is_none_or(|timer| timer.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut thrown_away);
            let Poll::Ready(read) = self.poll_next(cx, &mut buf) else {
                self.silent = true;
                return Poll::Pending;
            };
            if read.is_err() || buf.filled().is_empty() {
                let in_order = read.is_ok() && !self.broken;
                self.turn.closed.store(in_order && self.silent, Ordering::Release);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match this.poll_next(cx, buf) {
            Poll::Ready(result) => {
                let idle = this.turn.running.is_none() && this.turn.whose() == IDLE;
                if buf.filled().len() > before {
                    if idle {
                        this.turn.change(IDLE, HEAD);
                        let begun = this.turn.begun.load(Ordering::Acquire);
                        this.since = Some(((HEAD, begun), Instant::now()));
                    }
                } else if result.is_ok() {
                    this.turn.closed.store(idle && this.silent && !this.broken, Ordering::Release);
                } else {
                    this.broken = true;
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                this.silent |= !this.unflushed;
                this.poll_silence(cx)
                    .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client is silent")))
            }
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.before_write(cx);
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.taken(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        ready!(this.taken(cx, flushed))?;
        this.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            this.shut = true;
            this.timer = Some(Box::pin(sleep_until(Instant::now() + LINGER)));
        }
        if this.turn.unread.load(Ordering::Acquire) || this.turn.is_owed() {
            this.poll_linger(cx)
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.before_write(cx);
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.taken(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const IDLE_LIMIT: Duration = Duration::from_secs(75);
    const HEAD_LIMIT: Duration = Duration::from_secs(10);
    const LIMITS: Limits =
        Limits { idle: IDLE_LIMIT, head: HEAD_LIMIT, taking: Duration::from_secs(300) };

    async fn silence_after(
        script: impl AsyncFn(&mut tokio::io::DuplexStream, &Arc<Turn>),
    ) -> Duration {
        let (mut client, server) = tokio::io::duplex(1024);
        let turn = Arc::new(Turn::default());
        let mut io = Watched::new(server, Arc::clone(&turn), LIMITS);
        script(&mut client, &turn).await;
        let start = Instant::now();
        let mut buf = [0; 64];
        loop {
            match tokio::time::timeout(Duration::from_secs(1_000), io.read(&mut buf)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    return start.elapsed();
                }
                Err(_) => return Duration::MAX,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_and_a_slow_head_have_their_own_limits() {
        let about = |got: Duration, want: Duration| got >= want && got < want * 2;
        assert!(about(silence_after(async |_, _| {}).await, IDLE_LIMIT));
        let head = silence_after(async |client, _| client.write_all(b"POST").await.unwrap()).await;
        assert!(about(head, HEAD_LIMIT));
    }

    #[tokio::test]
    async fn a_refused_client_may_finish_its_body() {
        let (mut client, server) = tokio::io::duplex(64);
        let turn = Arc::new(Turn::default());
        let mut io = Watched::new(server, Arc::clone(&turn), LIMITS);
        turn.leave_unread();
        let (shut, sent) =
            tokio::join!(io.shutdown(), async move { client.write_all(&[0; 10_000]).await });
        shut.unwrap();
        sent.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_exchange_and_a_tunnel_have_none_until_they_end() {
        let exchange = silence_after(async |_, turn| std::mem::forget(turn.begin())).await;
        assert_eq!(exchange, Duration::MAX);
        let tunnel = silence_after(async |_, turn| {
            let guard = turn.begin();
            turn.upgrade();
            drop(guard);
        });
        assert_eq!(tunnel.await, Duration::MAX);
        let ended = silence_after(async |_, turn| drop(turn.begin())).await;
        assert!(ended < Duration::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn many_requests_at_once_end_their_turn_together() {
        let (_client, server) = tokio::io::duplex(1024);
        let turn = Arc::new(Turn::multiplexed());
        let mut io = Watched::new(server, Arc::clone(&turn), LIMITS);
        let (first, second) = (turn.begin(), turn.begin());
        drop(first);
        let mut buf = [0; 1];
        let running = tokio::time::timeout(IDLE_LIMIT * 3, io.read(&mut buf)).await;
        assert!(running.is_err(), "one of them still runs");
        drop(second);
        let idle = tokio::time::timeout(IDLE_LIMIT * 2, io.read(&mut buf)).await.unwrap();
        assert_eq!(idle.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let (mut client, server) = tokio::io::duplex(64);
        let turn = Arc::new(Turn::default());
        let _answering = turn.begin();
        let mut io = Watched::new(server, turn, LIMITS);
        let writing = tokio::spawn(async move { io.write_all(&[0; 64 * 10]).await });
        let mut piece = [0; 64];
        for _ in 0..5 {
            tokio::time::sleep(LIMITS.taking.mul_f64(0.9)).await;
            client.read_exact(&mut piece).await.unwrap();
        }
        assert!(!writing.is_finished());
        assert_eq!(writing.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_may_wait_for_its_client() {
        let (client, server) = tokio::io::duplex(64);
        let turn = Arc::new(Turn::default());
        turn.upgrade();
        let mut io = Watched::new(server, turn, LIMITS);
        let writing = tokio::time::timeout(LIMITS.taking * 2, io.write_all(&[0; 100])).await;
        assert!(writing.is_err(), "{writing:?}");
        drop(client);
    }
}
