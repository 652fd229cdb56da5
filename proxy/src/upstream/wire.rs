//! The byte stream to an upstream, and how much was written to it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::http1_io::Io;
use crate::tls::HTTP2;

/// Whether a request may share its connection with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// HTTP/2 if the upstream speaks it.
    Allowed,
    /// HTTP/1.1 only.
    Exclusive,
    /// HTTP/2 if the upstream speaks it, on a connection that no other request uses.
    Alone,
}

/// A byte stream to an upstream.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(super) io: Io,
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
    /// How many bytes of answers have come. (Not counted of HTTP/2.)
    received: AtomicU64,
    /// When bytes came last, in milliseconds after `opened`.
    received_at: AtomicU64,
    /// `written` when the newest request began.
    begun_at: AtomicU64,
    /// The count of written bytes below which the newest request is not written whole.
    owed: AtomicU64,
    /// A request is about to be written to a connection that was kept.
    kept: AtomicBool,
    /// The newest answer is not complete, as far as its reader knows.
    partial: AtomicBool,
    /// The request line that is about to be written has hidden bytes.
    hides: AtomicBool,
    /// The count of written bytes from which a flush passes the failpoint `after-send`.
    armed: AtomicU64,
}

impl Default for WireCounters {
    fn default() -> Self {
        Self {
            opened: Instant::now(),
            written: AtomicU64::new(0),
            received: AtomicU64::new(0),
            received_at: AtomicU64::new(0),
            begun_at: AtomicU64::new(0),
            owed: AtomicU64::new(0),
            kept: AtomicBool::new(false),
            partial: AtomicBool::new(false),
            hides: AtomicBool::new(false),
            armed: AtomicU64::new(u64::MAX),
        }
    }
}

impl WireCounters {
    /// How many bytes were written in all.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// How many bytes of answers have come in all, of an HTTP/1.1 connection.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    pub(super) fn note_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::AcqRel);
    }

    /// A request with `length` bytes of a body is about to be written. `kept`: to a connection that
    /// has carried one before.
    pub(super) fn begin(&self, kept: bool, length: u64) {
        let written = self.written();
        self.begun_at.store(written, Ordering::Release);
        self.owed.store(written.saturating_add(length), Ordering::Release);
        self.partial.store(false, Ordering::Release);
        self.kept.store(kept, Ordering::Release);
    }

    /// Whether bytes of the newest request were written.
    pub(super) fn has_begun(&self) -> bool {
        self.written() > self.begun_at.load(Ordering::Acquire)
    }

    /// Whether a part of the newest request is still to be written, for certain.
    pub(super) fn is_uploading(&self) -> bool {
        self.written() < self.owed.load(Ordering::Acquire)
    }

    /// Whether this is the first write of a request to a kept connection.
    pub(super) fn first_write_on_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire) && self.kept.swap(false, Ordering::AcqRel)
    }

    /// The next request line has hidden bytes.
    pub(super) fn note_hidden(&self) {
        self.hides.store(true, Ordering::Release);
    }

    pub(super) fn hides(&self) -> bool {
        self.hides.load(Ordering::Acquire)
    }

    pub(super) fn line_written(&self) {
        self.hides.store(false, Ordering::Release);
    }

    /// A part of an answer was read, and more is to come.
    pub(super) fn note_part(&self) {
        self.partial.store(true, Ordering::Release);
    }

    pub(super) fn is_partial(&self) -> bool {
        self.partial.load(Ordering::Acquire)
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

/// How far sending has come, in bytes: of the connection, or of the body if others share the
/// connection.
#[derive(Debug)]
pub(crate) enum Progress {
    Wire(Arc<WireCounters>),
    Body(Arc<AtomicU64>),
}

impl Progress {
    pub(crate) fn get(&self) -> u64 {
        match self {
            Self::Wire(wire) => wire.written(),
            Self::Body(sent) => sent.load(Ordering::Acquire),
        }
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

    pub(super) fn socket(&self) -> &TcpStream {
        &self.io
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
