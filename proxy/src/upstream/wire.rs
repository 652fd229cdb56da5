//! The byte stream to an upstream, and how much was written to it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::tls::HTTP2;

/// Whether a request may share its connection with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// HTTP/2 if the upstream speaks it.
    Allowed,
    /// HTTP/1.1 only.
    Exclusive,
}

/// A byte stream to an upstream.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(super) io: Either<CountedStream, Box<TlsStream<CountedStream>>>,
    pub(super) wire: Arc<WireCounters>,
    /// The TLS handshake has agreed on HTTP/2.
    pub(super) is_http2: bool,
}

impl Transport {
    pub(crate) fn plain(stream: CountedStream) -> Self {
        let wire = Arc::clone(&stream.wire);
        Self { io: Either::Left(stream), wire, is_http2: false }
    }

    pub(crate) fn tls(stream: TlsStream<CountedStream>) -> Self {
        let (counted, session) = stream.get_ref();
        let is_http2 = session.alpn_protocol() == Some(HTTP2);
        let wire = Arc::clone(&counted.wire);
        Self { io: Either::Right(Box::new(stream)), wire, is_http2 }
    }
}

/// What is counted of a connection's bytes.
#[derive(Debug)]
pub(crate) struct WireCounters {
    opened: Instant,
    written: AtomicU64,
    /// When bytes came last, in milliseconds after `opened`.
    received_at: AtomicU64,
    /// The count of written bytes from which a flush passes the failpoint `after-send`.
    armed: AtomicU64,
}

impl Default for WireCounters {
    fn default() -> Self {
        Self {
            opened: Instant::now(),
            written: AtomicU64::new(0),
            received_at: AtomicU64::new(0),
            armed: AtomicU64::new(u64::MAX),
        }
    }
}

impl WireCounters {
    /// How many bytes were written in all.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// How long nothing has come.
    pub(super) fn silence(&self) -> Duration {
        let received_at = Duration::from_millis(self.received_at.load(Ordering::Acquire));
        self.opened.elapsed().saturating_sub(received_at)
    }

    fn note_receipt(&self) {
        self.received_at.store(self.opened.elapsed().as_millis() as u64, Ordering::Release);
    }

    /// From here on a flush passes the failpoint `after-send`.
    pub(super) fn arm(&self) {
        self.armed.store(self.written() + 1, Ordering::Release);
    }

    pub(super) fn disarm(&self) {
        self.armed.store(u64::MAX, Ordering::Release);
    }
}

/// A connection that counts its bytes, including those of TLS. If none were written, a request did
/// not run.
#[derive(Debug)]
pub(crate) struct CountedStream {
    io: TcpStream,
    wire: Arc<WireCounters>,
}

impl CountedStream {
    pub(crate) fn new(io: TcpStream) -> Self {
        Self { io, wire: Arc::default() }
    }

    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.wire.written.fetch_add(*bytes as u64, Ordering::AcqRel);
        }
        written
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.wire.note_receipt();
        }
        polled
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.count(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        if cfg!(feature = "failpoints")
            && this.wire.written() >= this.wire.armed.load(Ordering::Acquire)
        {
            this.wire.disarm();
            crate::failpoint::hit("after-send");
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
