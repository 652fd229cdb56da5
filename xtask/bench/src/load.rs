//! A closed-loop load generator that checks every answer. One wrong answer spoils the whole run.

mod caller;
mod shape;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use self::caller::Caller;
pub(super) use self::shape::{Expect, Numbers, PLACE, Shape, Tunnel};

/// The result of a run in which every answer was right.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    /// All answers, with those of the warm-up. The upstream's hits are compared with this.
    pub(super) answers: u64,
    /// Answers after the warm-up.
    pub(super) measured: u64,
    pub(super) seconds: f64,
    /// Sorted, in nanoseconds.
    pub(super) latencies: Vec<u64>,
}

impl Run {
    pub(super) fn per_second(&self) -> f64 {
        self.measured as f64 / self.seconds
    }

    /// The latency in microseconds at this part of the distribution, from 0 to 1.
    pub(super) fn quantile(&self, part: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * part).round() as usize;
        self.latencies.get(at).map_or(f64::NAN, |ns| *ns as f64 / 1_000.0)
    }
}

/// How long a run takes.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) warm: Duration,
    pub(super) measured: Duration,
}

/// Runs `shape` on `connections` keep-alive connections, each with one call at a time.
pub(super) fn run(
    addr: SocketAddr,
    shape: &Shape,
    connections: usize,
    span: Span,
) -> anyhow::Result<Run> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // The clock starts once all are connected: handshakes do not count.
        let connecting: Vec<_> =
            (0..connections).map(|_| tokio::spawn(connect(addr, shape.tunnel.clone()))).collect();
        let mut streams = Vec::new();
        for stream in connecting {
            streams.push(stream.await.context("a caller")??);
        }
        let start = Instant::now();
        let tasks: Vec<_> = (0_u64..)
            .zip(streams)
            .map(|(i, stream)| {
                let caller = Caller::new(shape, i);
                tokio::spawn(caller.drive(stream, start + span.warm, span.measured))
            })
            .collect();
        let mut all = Run { seconds: span.measured.as_secs_f64(), ..Run::default() };
        for task in tasks {
            let one = task.await.context("a caller")??;
            all.answers += one.answers;
            all.measured += one.measured;
            all.latencies.extend(one.latencies);
        }
        all.latencies.sort_unstable();
        Ok(all)
    })
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

async fn connect(addr: SocketAddr, tunnel: Option<Tunnel>) -> anyhow::Result<Stream> {
    let stream = TcpStream::connect(addr).await.with_context(|| format!("connect to {addr}"))?;
    stream.set_nodelay(true)?;
    Ok(match tunnel {
        None => Stream::Plain(stream),
        Some(tunnel) => Stream::Tls(Box::new(tunnel.open(stream).await.context("open a tunnel")?)),
    })
}
