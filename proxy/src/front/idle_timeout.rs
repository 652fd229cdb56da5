//! How long the client of a connection may stay silent, or take nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::turn::{HEAD, IDLE, Turn, UPGRADED};
use crate::body::stall_timer::StallTimer;
use crate::config::Timeouts;

/// How long the bytes that a refused client still sends are read and dropped. A connection that is
/// closed with unread bytes is reset, and the client never sees why it was refused.
const LINGER: Duration = Duration::from_secs(10);

/// How long a client may keep its connection waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientTimeouts {
    /// Between two requests.
    idle: Duration,
    /// From the first byte of a request's head to its last.
    head: Duration,
    /// While an answer is written and the client takes none of it.
    taking: Duration,
}

impl ClientTimeouts {
    pub(crate) fn of(timeouts: &Timeouts) -> Self {
        Self { idle: timeouts.idle, head: timeouts.request_head, taking: timeouts.body_idle }
    }
}

/// A client's connection that fails when it is idle, a request's head incomplete, or an answer not
/// taken, for too long. (hyper's `header_read_timeout` does not distinguish the first two.)
#[derive(Debug)]
pub(crate) struct IdleTimeout<I> {
    io: I,
    turn: Arc<Turn>,
    timeouts: ClientTimeouts,
    /// Runs while the client takes nothing.
    stall: StallTimer,
    /// Whose turn it was, after how many requests, and since when.
    since: Option<((u8, usize), Instant)>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Something was written and not flushed.
    unflushed: bool,
    shut: bool,
    reads: ReadState,
}

/// What reading has found.
#[derive(Debug, Default)]
struct ReadState {
    /// Bytes that were read before hyper asked for them.
    ahead: Vec<u8>,
    /// The end was read before hyper asked for it.
    end: bool,
    /// A read has found nothing since something was written last: what the client does from here on
    /// comes after it. An end that was there before, and is only read now, says nothing.
    silent: bool,
    /// A read has failed. The system reports a reset once, and the reads after it look like a
    /// proper end.
    broken: bool,
}

impl<I> IdleTimeout<I> {
    pub(crate) fn new(io: I, turn: Arc<Turn>, timeouts: ClientTimeouts) -> Self {
        Self {
            io,
            turn,
            timeouts,
            stall: StallTimer::new(timeouts.taking),
            since: None,
            timer: None,
            unflushed: false,
            shut: false,
            reads: ReadState::default(),
        }
    }

    pub(crate) fn into_inner(self) -> I {
        self.io
    }

    fn note_broken(&mut self) {
        self.reads.broken = true;
        self.turn.broken.store(true, Ordering::Release);
    }

    /// Ready when the client has been silent for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let turn = self.turn.whose();
        let limit = match turn {
            IDLE => self.timeouts.idle,
            HEAD => self.timeouts.head,
            _ => {
                self.since = None;
                return self.poll_untaken(cx);
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
        self.poll_timer(cx, start + limit)
    }

    /// Ready when one of several answers has waited for its client for too long. Whatever else is written then
    /// says nothing about it.
    fn poll_untaken(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.turn.untaken_since() {
            Some(since) => self.poll_timer(cx, since + self.timeouts.taking),
            None => Poll::Pending,
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
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

    /// The result of a write. An error if the client has taken nothing for too long.
    fn check_stall<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall.progress();
            return written;
        }
        if self.turn.whose() == UPGRADED {
            return Poll::Pending;
        }
        ready!(self.stall.poll_stalled(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client stopped reading")))
    }
}

impl<I: AsyncRead + Unpin> IdleTimeout<I> {
    /// Something is about to be written. If it matters whether it arrives, reads first, to see
    /// whether the client is still there.
    fn before_write(&mut self, cx: &mut Context<'_>) {
        (self.unflushed, self.reads.silent) = (true, false);
        if !self.turn.expects_delivery() || self.reads.end || !self.reads.ahead.is_empty() {
            return;
        }
        let mut bytes = [0; 1024];
        let mut buf = ReadBuf::new(&mut bytes);
        match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
            Poll::Pending => self.reads.silent = true,
            Poll::Ready(Err(_)) => self.note_broken(),
            Poll::Ready(Ok(())) if buf.filled().is_empty() => self.reads.end = true,
            Poll::Ready(Ok(())) => self.reads.ahead.extend_from_slice(buf.filled()),
        }
    }

    /// Reads what was read ahead, then what comes.
    fn poll_next(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.reads.ahead.is_empty() {
            let length = self.reads.ahead.len().min(buf.remaining());
            buf.put_slice(&self.reads.ahead[..length]);
            self.reads.ahead.drain(..length);
            return Poll::Ready(Ok(()));
        }
        if self.reads.end {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }

    /// Ready when the client has sent everything, or has gone on for too long.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut dropped = [0; 16 * 1024];
        loop {
            if self.timer.as_mut().is_none_or(|timer| timer.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut dropped);
            let Poll::Ready(read) = self.poll_next(cx, &mut buf) else {
                self.reads.silent = true;
                return Poll::Pending;
            };
            if read.is_err() || buf.filled().is_empty() {
                if read.is_err() {
                    self.note_broken();
                }
                let in_order = !self.reads.broken;
                self.turn.closed.store(in_order && self.reads.silent, Ordering::Release);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for IdleTimeout<I> {
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
                    this.turn
                        .closed
                        .store(idle && this.reads.silent && !this.reads.broken, Ordering::Release);
                } else {
                    this.note_broken();
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                this.reads.silent |= !this.unflushed;
                this.poll_silence(cx).map(|()| {
                    Err(io::Error::new(io::ErrorKind::TimedOut, "the client stopped sending"))
                })
            }
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for IdleTimeout<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.before_write(cx);
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.check_stall(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        ready!(this.check_stall(cx, flushed))?;
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
        if this.turn.unread.load(Ordering::Acquire) || this.turn.expects_delivery() {
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
        this.check_stall(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
