//! What lies between hyper and the byte stream of an HTTP/1.1 connection to an upstream.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use proxy_core::http::written;
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::wire::{CountedStream, WireCounters};
use crate::quick_ack::acknowledge;

/// How much of an answer is read at once, in bytes: as much is in memory for each that its client
/// does not take.
const MOST_AT_ONCE: usize = 32 * 1024;

/// Clear or TLS.
pub(super) type Io = Either<CountedStream, Box<TlsStream<CountedStream>>>;

/// A connection for one request at a time, which makes three things known that hyper does not:
///
/// - A kept connection that its upstream has closed fails before a byte of the next request leaves.
/// - An upstream that answers and closes before it has read the whole request is read: writes to
///   it seem to succeed, and what it has sent decides.
/// - The first part of an answer is acknowledged at once, if the rest has not come.
#[derive(Debug)]
pub(super) struct Http1Io {
    io: Io,
    wire: Arc<WireCounters>,
    read: LastRead,
    /// A request line as it was written, and how much of it has left.
    line: Option<(Vec<u8>, usize)>,
}

/// How the bytes that were read last end, as far as it was not dealt with yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastRead {
    /// Nothing was read, or it was acknowledged.
    Settled,
    /// With an empty line, or a line of a head: more follows, unless the answer has no body.
    InHead,
    /// With the end of an answer.
    AtEnd,
    /// In a body, perhaps with its last byte.
    InBody,
}

impl LastRead {
    fn of(bytes: &[u8]) -> Self {
        const ENDS: [&[u8]; 2] = [b"\r\n0\r\n\r\n", b": 0\r\n\r\n"];
        match bytes {
            [] => Self::Settled,
            _ if ENDS.iter().any(|end| bytes.ends_with(end)) => Self::AtEnd,
            _ if bytes.ends_with(b"\r\n") => Self::InHead,
            _ => Self::InBody,
        }
    }
}

impl Http1Io {
    pub(super) fn new(io: Io, wire: Arc<WireCounters>) -> Self {
        Self { io, wire, read: LastRead::Settled, line: None }
    }

    fn socket(&self) -> &TcpStream {
        match &self.io {
            Either::Left(clear) => clear.socket(),
            Either::Right(tls) => tls.get_ref().0.socket(),
        }
    }

    /// The upstream waits with the rest of its answer until what was read is acknowledged, if it
    /// writes an answer in parts and uses Nagle's algorithm.
    fn nothing_more(&mut self) {
        let incomplete = match std::mem::replace(&mut self.read, LastRead::Settled) {
            LastRead::Settled | LastRead::AtEnd => false,
            LastRead::InHead => true,
            LastRead::InBody => self.wire.is_partial(),
        };
        if incomplete {
            acknowledge(self.socket());
        }
    }

    /// Looks, before the first byte of a request on a kept connection, whether the upstream has
    /// closed it. Whatever has come unasked says so too.
    fn before_write(&mut self) -> io::Result<()> {
        self.read = LastRead::Settled;
        if self.wire.first_write_on_kept() && !is_quiet(self.socket()) {
            let what = "the upstream had closed the connection";
            return Err(io::Error::new(io::ErrorKind::NotConnected, what));
        }
        Ok(())
    }

    /// `offered`: how many bytes were to be written.
    fn after_write(
        &self,
        written: Poll<io::Result<usize>>,
        offered: usize,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Err(error)) if is_loss(&error) && self.wire.has_begun() => {
                Poll::Ready(Ok(offered))
            }
            written => written,
        }
    }
}

impl Http1Io {
    /// Writes the request line at the beginning of `head` with its hidden bytes revealed. `None`:
    /// nothing is hidden.
    fn poll_line(&mut self, cx: &mut Context<'_>, head: &[u8]) -> Option<Poll<io::Result<usize>>> {
        if !self.wire.hides() {
            return None;
        }
        let end = head.iter().position(|byte| *byte == b'\r')?;
        let line = std::str::from_utf8(&head[..end]).ok()?;
        let (line, at) = self.line.get_or_insert_with(|| (written::revealed(line).into_owned(), 0));
        while *at < line.len() {
            match Pin::new(&mut self.io).poll_write(cx, &line[*at..]) {
                Poll::Ready(Ok(written)) if written > 0 => *at += written,
                unwritten => return Some(unwritten),
            }
        }
        self.line = None;
        self.wire.line_written();
        Some(Poll::Ready(Ok(end)))
    }
}

/// Whether an idle connection is open and nothing has come on it.
fn is_quiet(socket: &TcpStream) -> bool {
    let peeked = recv(socket, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(peeked, Err(rustix::io::Errno::AGAIN))
}

/// Whether the other side no longer takes bytes. What it had sent before can still be read.
fn is_loss(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    [BrokenPipe, ConnectionAborted, ConnectionReset].contains(&error.kind())
}

/// Reads at most [`MOST_AT_ONCE`]. hyper makes one frame of what was read at once, and would go up
/// to 400 KiB.
fn poll_read_some(
    io: &mut Io,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    if buf.remaining() <= MOST_AT_ONCE {
        return Pin::new(io).poll_read(cx, buf);
    }
    let mut part = ReadBuf::new(buf.initialize_unfilled_to(MOST_AT_ONCE));
    let polled = Pin::new(io).poll_read(cx, &mut part);
    let read = part.filled().len();
    buf.advance(read);
    polled
}

impl AsyncRead for Http1Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = poll_read_some(&mut this.io, cx, buf);
        match polled {
            Poll::Pending => {
                this.nothing_more();
                Poll::Pending
            }
            // It has not read the whole request, hence the reset. It has sent what it had to say.
            Poll::Ready(Err(error)) if this.wire.is_uploading() && is_loss(&error) => {
                Poll::Ready(Ok(()))
            }
            Poll::Ready(read) => {
                let bytes = &buf.filled()[before..];
                this.wire.note_received(bytes.len());
                this.read = LastRead::of(bytes);
                Poll::Ready(read)
            }
        }
    }
}

impl AsyncWrite for Http1Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.before_write()?;
        let written = match this.poll_line(cx, buf) {
            Some(written) => written,
            None => Pin::new(&mut this.io).poll_write(cx, buf),
        };
        this.after_write(written, buf.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.before_write()?;
        let head = bufs.first().map(|head| &**head).unwrap_or_default();
        let written = match this.poll_line(cx, head) {
            Some(written) => written,
            None => Pin::new(&mut this.io).poll_write_vectored(cx, bufs),
        };
        this.after_write(written, bufs.iter().map(|buf| buf.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        // TLS writes when it is flushed.
        match flushed {
            Poll::Ready(Err(error)) => this.after_write(Poll::Ready(Err(error)), 0).map_ok(drop),
            flushed => flushed,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_read_says_whether_more_follows() {
        for (bytes, end) in [
            ("", LastRead::Settled),
            ("HTTP/1.1 200 OK\r\n", LastRead::InHead),
            ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", LastRead::InHead),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", LastRead::AtEnd),
            ("2\r\n{}\r\n0\r\n\r\n", LastRead::AtEnd),
            ("2\r\n{}\r\n", LastRead::InHead),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", LastRead::InBody),
        ] {
            assert_eq!(LastRead::of(bytes.as_bytes()), end, "{bytes:?}");
        }
    }
}
