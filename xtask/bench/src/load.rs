//! A closed-loop load generator that checks every answer: a wrong one spoils the whole run.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::shape::{Expect, Numbers, PLACE, Shape, Tunnel};

/// What a run showed: only answers that were right.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    /// All of them, the warm-up's too: what the upstream's hits are compared with.
    pub(super) answers: u64,
    /// Those after the warm-up.
    pub(super) measured: u64,
    pub(super) seconds: f64,
    /// Sorted, in nanoseconds.
    pub(super) latencies: Vec<u64>,
}

impl Run {
    pub(super) fn per_second(&self) -> f64 {
        self.measured as f64 / self.seconds
    }

    /// In microseconds; `part` of 1.
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
        // All are connected before the clock starts: handshakes are no part of a call.
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

struct Caller {
    request: Vec<u8>,
    /// Where the number stands.
    places: Vec<usize>,
    body_at: usize,
    numbers: Numbers,
    expect: Expect,
    random: u64,
    /// What was read and not yet used.
    buffer: Vec<u8>,
}

impl Caller {
    fn new(shape: &Shape, seed: u64) -> Self {
        let places = shape.request.match_indices(PLACE).map(|(at, _)| at).collect();
        let body_at = shape.request.find("\r\n\r\n").map_or(0, |at| at + 4);
        Self {
            request: shape.request.clone().into_bytes(),
            places,
            body_at,
            numbers: shape.numbers.clone(),
            expect: shape.expect.clone(),
            random: 0x9E37_79B9_7F4A_7C15 ^ (seed + 1).wrapping_mul(0xBF58_476D_1CE4_E5B9),
            buffer: Vec::with_capacity(64 * 1024),
        }
    }

    async fn drive(self, stream: Stream, from: Instant, measured: Duration) -> anyhow::Result<Run> {
        match stream {
            Stream::Plain(stream) => self.drive_on(stream, from, measured).await,
            Stream::Tls(stream) => self.drive_on(*stream, from, measured).await,
        }
    }

    async fn drive_on(
        mut self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        from: Instant,
        measured: Duration,
    ) -> anyhow::Result<Run> {
        let mut run = Run::default();
        let end = from + measured;
        let mut begin = Instant::now();
        while begin < end {
            let Some(number) = self.next_number() else { break };
            let digits = digits(number);
            for at in &self.places {
                self.request[*at..*at + PLACE.len()].copy_from_slice(&digits);
            }
            stream.write_all(&self.request).await.context("send")?;
            stream.flush().await.context("send")?;
            let body = self.read_answer(&mut stream).await.context("read the answer")?;
            let done = Instant::now();
            self.check(&body, &digits)?;
            run.answers += 1;
            if done >= from && done <= end {
                run.measured += 1;
                run.latencies.push((done - begin).as_nanos() as u64);
            }
            begin = done;
        }
        Ok(run)
    }

    fn next_number(&mut self) -> Option<u64> {
        match &self.numbers {
            Numbers::Fresh(next) => Some(next.fetch_add(1, Ordering::Relaxed)),
            Numbers::Below(end) => {
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                Some(self.random % end)
            }
            Numbers::Fill { next, end } => {
                let number = next.fetch_add(1, Ordering::Relaxed);
                (number < *end).then_some(number)
            }
        }
    }

    /// The body of a 200.
    async fn read_answer(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> anyhow::Result<Vec<u8>> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; 64];
            let mut head = httparse::Response::new(&mut fields);
            if let httparse::Status::Complete(length) = head.parse(&self.buffer)? {
                if head.code != Some(200) {
                    bail!("status {:?}: {}", head.code, String::from_utf8_lossy(&self.buffer));
                }
                let field = |name: &str| {
                    let found =
                        head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
                    found.and_then(|field| std::str::from_utf8(field.value).ok())
                };
                let size = field("content-length").map(str::parse::<usize>).transpose()?;
                let chunked = field("transfer-encoding").is_some();
                self.buffer.drain(..length);
                return match size {
                    Some(size) => self.take(stream, size).await,
                    None if chunked => self.take_chunks(stream).await,
                    None => bail!("an answer without a length"),
                };
            }
            self.fill(stream).await?;
        }
    }

    async fn take(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        size: usize,
    ) -> anyhow::Result<Vec<u8>> {
        while self.buffer.len() < size {
            self.fill(stream).await?;
        }
        Ok(self.buffer.drain(..size).collect())
    }

    async fn take_chunks(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((start, size))) => {
                    self.buffer.drain(..start);
                    let chunk = self.take(stream, size as usize + 2).await?;
                    if size == 0 {
                        return Ok(body);
                    }
                    body.extend_from_slice(&chunk[..size as usize]);
                }
                Ok(httparse::Status::Partial) => self.fill(stream).await?,
                Err(error) => bail!("{error}"),
            }
        }
    }

    async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        match stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn check(&self, body: &[u8], digits: &[u8]) -> anyhow::Result<()> {
        let right = match &self.expect {
            Expect::Echo => body == &self.request[self.body_at..],
            Expect::Contains(texts) => {
                let digits = std::str::from_utf8(digits)?;
                texts.iter().all(|text| contains(body, text.replace(PLACE, digits).as_bytes()))
            }
        };
        if !right {
            bail!("a wrong answer: {}", String::from_utf8_lossy(body));
        }
        Ok(())
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(body, text).is_some()
}

fn digits(number: u64) -> [u8; PLACE.len()] {
    let mut digits = [b'0'; PLACE.len()];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_fills_its_place() {
        assert_eq!(&digits(0), b"00000000000000");
        assert_eq!(&digits(1_234), b"00000000001234");
    }

    #[test]
    fn a_wrong_answer_is_seen() {
        let shape = Shape::post("/", "", Numbers::Below(1));
        let caller = Caller::new(&shape, 0);
        let body = caller.request[caller.body_at..].to_vec();
        assert!(caller.check(&body, b"").is_ok());
        assert!(caller.check(&body[1..], b"").is_err());
        let get = Caller::new(&Shape::get("/", "", Numbers::Below(1)), 0);
        assert!(get.check(b"GET 00000000000007", &digits(7)).is_ok());
        assert!(get.check(b"GET 00000000000008", &digits(7)).is_err());
    }
}
