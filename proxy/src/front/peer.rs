//! A client's TCP connection, and whether its client is still there.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use proxy_core::http::address::plain;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// A client's connection. Only HTTP reads and writes it; others may ask whether the client has hung
/// up.
#[derive(Debug)]
pub(crate) struct ClientStream(Arc<TcpStream>);

impl ClientStream {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(stream))
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer(Arc::downgrade(&self.0))
    }

    /// Closes the connection so that its client sees that something is missing.
    pub(crate) fn reset(self) {
        let _ = self.0.set_zero_linger();
    }
}

impl AsFd for ClientStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match read(&self.0, buf.initialize_unfilled()) {
                Ok(read) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// Reads what is there. A buffer that is not filled has taken all of it: the next read waits for more, and does
/// not ask the system first.
fn read(stream: &TcpStream, buf: &mut [u8]) -> io::Result<usize> {
    let mut partly = None;
    let whole = stream.try_io(Interest::READABLE, || {
        let read = rustix::io::read(stream, &mut *buf)?;
        if 0 < read && read < buf.len() {
            partly = Some(read);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(read)
    });
    partly.map_or(whole, Ok)
}

/// Tries to write until it need not wait.
fn poll_try(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    mut attempt: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return Poll::Ready(done),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        poll_try(&self.0, cx, || self.0.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_try(&self.0, cx, || self.0.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// A socket has no buffer to flush.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(
            rustix::net::shutdown(&*self.0, rustix::net::Shutdown::Write).map_err(Into::into),
        )
    }
}

/// The client's side of a connection, as others see it.
#[derive(Debug, Clone)]
pub(crate) struct Peer(Weak<TcpStream>);

impl Peer {
    /// Whether the client runs on this machine, and not only passes through it.
    pub(crate) fn is_of_this_machine(&self) -> bool {
        let Some(stream) = self.0.upgrade() else { return false };
        let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else { return false };
        let peer = plain(peer.ip());
        peer.is_loopback() || peer == plain(local.ip())
    }

    /// Whether the client has reset the connection: it wants no more of it. As long as nobody has
    /// read that.
    pub(crate) fn is_reset(&self) -> bool {
        let Some(stream) = self.0.upgrade() else { return true };
        let mut fds = [PollFd::new(&*stream, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).is_err() || fds[0].revents().contains(PollFlags::ERR)
    }

    /// Whether the connection is open and the client has not closed its side. What the system knows
    /// counts, also where nobody has read it yet: a client that gives up a connection and opens
    /// another one has closed the first one before.
    pub(crate) fn is_open(&self) -> bool {
        let Some(stream) = self.0.upgrade() else { return false };
        let mut fds = [PollFd::new(&*stream, PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut fds, Some(&now)), Ok(0))
    }
}
