//! What lies between hyper and a client of HTTP/1.1: the two things that hyper decides by itself.
//!
//! - It refuses request lines with bytes that clients do send: they are hidden from it
//!   ([`written`]).
//! - It answers what it cannot read with a bare status: the client gets a problem instead.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::StatusCode;
use proxy_core::http::written;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::turn::{HEAD, IDLE, Turn};
use crate::context::ProxyContext;
use crate::steps::respond::problem;

/// What follows the status in hyper's own answers. No other answer is like this: a tool's has Via,
/// and the engine's has Date.
const BARE: &[u8] = b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A client's connection.
pub(crate) struct HeadIo<I> {
    io: I,
    turn: Arc<Turn>,
    context: Arc<ProxyContext>,
    /// The next bytes belong to a request line.
    in_line: bool,
    /// Bytes of a request line with odd ones hidden, that hyper has not taken yet.
    hidden: Vec<u8>,
    /// A problem on its way out in the place of a bare status, and how much of it has left.
    problem: Option<(Vec<u8>, usize)>,
}

impl<I> HeadIo<I> {
    pub(crate) fn new(io: I, turn: Arc<Turn>, context: Arc<ProxyContext>) -> Self {
        Self { io, turn, context, in_line: false, hidden: Vec::new(), problem: None }
    }

    pub(crate) fn into_inner(self) -> I {
        self.io
    }

    /// Hides the odd bytes of a request line in what was read behind `start`. A request that came
    /// with the end of the one before it is not looked at: its line is hyper's.
    fn hide(&mut self, start: usize, buf: &mut ReadBuf<'_>) {
        let read = &buf.filled()[start..];
        let end = read.iter().position(|byte| *byte == b'\n');
        let line = &read[..end.unwrap_or(read.len())];
        self.in_line = end.is_none();
        if !line.iter().any(|byte| written::is_odd(*byte)) {
            return;
        }
        self.hidden = written::hidden(line);
        self.hidden.extend_from_slice(&read[line.len()..]);
        buf.set_filled(start);
        self.hand_over(buf);
    }

    fn hand_over(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.hidden.len().min(buf.remaining());
        buf.put_slice(&self.hidden[..length]);
        self.hidden.drain(..length);
    }

    /// The problem for a bare status that hyper is about to write.
    fn problem_for(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let line = bytes.strip_suffix(BARE)?.strip_prefix(b"HTTP/1.")?;
        let status = StatusCode::from_bytes(line.get(2..5)?).ok()?;
        (self.turn.whose() == HEAD).then(|| problem::of_head(&self.context, status))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for HeadIo<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.hidden.is_empty() {
            this.hand_over(buf);
            return Poll::Ready(Ok(()));
        }
        this.in_line |= this.turn.whose() == IDLE;
        let start = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        if this.in_line && buf.filled().len() > start {
            this.hide(start, buf);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> HeadIo<I> {
    /// Writes the problem that replaces `bare`, if there is one. `None`: nothing is replaced.
    fn poll_problem(
        &mut self,
        cx: &mut Context<'_>,
        bare: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        if self.problem.is_none() {
            self.problem = Some((self.problem_for(bare)?, 0));
        }
        while let Some((bytes, at)) = &mut self.problem {
            match Pin::new(&mut self.io).poll_write(cx, &bytes[*at..]) {
                Poll::Ready(Ok(written)) if written > 0 => *at += written,
                Poll::Ready(Ok(_)) => return Some(Poll::Ready(Ok(0))),
                unwritten => return Some(unwritten),
            }
            if *at == bytes.len() {
                self.problem = None;
            }
        }
        Some(Poll::Ready(Ok(bare.len())))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for HeadIo<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.poll_problem(cx, buf) {
            Some(written) => written,
            None => Pin::new(&mut this.io).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let [only] = bufs
            && let Some(written) = this.poll_problem(cx, only)
        {
            return written;
        }
        Pin::new(&mut this.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
