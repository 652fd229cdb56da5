//! Connections to upstreams: made, counted, kept for the next request.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::body::Outgoing;
use crate::error::{Error, Sent};
use crate::request::Authority;

/// How many idle connections one host may have, and all hosts together.
const PER_HOST: usize = 256;
const IN_ALL: usize = 2_048;

/// For how long a connection is kept idle.
const KEPT: Duration = Duration::from_secs(60);

/// The most header fields of an answer.
const MAX_HEADERS: usize = 256;

/// The idle connections.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    by_host: HashMap<Authority, Vec<Connection>>,
    count: usize,
}

/// A connection to an upstream, for one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Outgoing>,
    wire: Arc<Wire>,
    pool: Arc<Pool>,
    authority: Authority,
    since: Instant,
    /// It has carried a request before, so the upstream may be about to close it.
    pub(crate) reused: bool,
}

impl Connection {
    /// How many bytes were ever written to it.
    pub(crate) fn written(&self) -> u64 {
        self.wire.written.load(Ordering::Acquire)
    }

    /// From here on a flush means that a guarded request was sent.
    pub(crate) fn arm(&self) {
        self.wire.armed.store(self.written() + 1, Ordering::Release);
    }

    /// Keeps it for the next request.
    pub(crate) fn give_back(mut self) {
        if self.sender.is_closed() {
            return;
        }
        self.since = Instant::now();
        self.reused = true;
        self.wire.armed.store(u64::MAX, Ordering::Release);
        let pool = Arc::clone(&self.pool);
        pool.put(self);
    }
}

impl Pool {
    /// An idle connection to `authority` that has been so for at most `age`.
    pub(crate) fn take(&self, authority: &Authority, age: Option<Duration>) -> Option<Connection> {
        let now = Instant::now();
        let mut guard = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = &mut *guard;
        let kept = idle.by_host.get_mut(authority)?;
        let limit = age.unwrap_or(KEPT).min(KEPT);
        // The newest is last. One that is not ready still writes a request that was answered early.
        for place in (0..kept.len()).rev() {
            let connection = &kept[place];
            if now.duration_since(connection.since) > limit {
                break;
            }
            let closed = connection.sender.is_closed();
            if closed || connection.sender.is_ready() {
                idle.count -= 1;
                let connection = kept.remove(place);
                if !closed {
                    return Some(connection);
                }
            }
        }
        None
    }

    fn put(&self, connection: Connection) {
        let mut guard = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = &mut *guard;
        if idle.count >= IN_ALL {
            return;
        }
        let kept = match idle.by_host.get_mut(&connection.authority) {
            Some(kept) => kept,
            None => idle.by_host.entry(connection.authority.clone()).or_default(),
        };
        if kept.len() < PER_HOST {
            kept.push(connection);
            idle.count += 1;
        }
    }

    /// Closes what is closed already or has been idle for too long.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        let mut guard = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = &mut *guard;
        idle.by_host.retain(|_, kept| {
            kept.retain(|c| !c.sender.is_closed() && now.duration_since(c.since) <= KEPT);
            !kept.is_empty()
        });
        idle.count = idle.by_host.values().map(Vec::len).sum();
    }

    /// Speaks HTTP on a fresh connection.
    pub(crate) async fn adopt(
        self: &Arc<Self>,
        authority: &Authority,
        stream: TcpStream,
    ) -> Result<Connection, Error> {
        let wire = Arc::new(Wire { written: AtomicU64::new(0), armed: AtomicU64::new(u64::MAX) });
        let io = TokioIo::new(Counted { io: stream, wire: Arc::clone(&wire) });
        let (sender, connection) = Builder::new()
            .preserve_header_case(true)
            .title_case_headers(true)
            .max_headers(MAX_HEADERS)
            .handshake(io)
            .await
            .map_err(|error| Error::Upstream {
                detail: format!("could not speak HTTP with {authority}: {error}"),
                sent: Sent::Never,
            })?;
        tokio::spawn(async move {
            // Whoever waits for the answer gets the error too.
            let _ = connection.with_upgrades().await;
        });
        Ok(Connection {
            sender,
            wire,
            pool: Arc::clone(self),
            authority: authority.clone(),
            since: Instant::now(),
            reused: false,
        })
    }
}

#[derive(Debug)]
struct Wire {
    written: AtomicU64,
    /// The count of written bytes from which a flush passes the failpoint `after-send`.
    armed: AtomicU64,
}

/// A stream that counts what was written: zero bytes prove that a request did not run.
#[derive(Debug)]
struct Counted {
    io: TcpStream,
    wire: Arc<Wire>,
}

impl Counted {
    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.wire.written.fetch_add(*bytes as u64, Ordering::AcqRel);
        }
        written
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
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
            && this.wire.written.load(Ordering::Acquire) >= this.wire.armed.load(Ordering::Acquire)
        {
            this.wire.armed.store(u64::MAX, Ordering::Release);
            crate::failpoint::hit("after-send");
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
