//! A caller: one keep-alive connection with one call at a time, whose answers are all checked.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::shape::{Expect, Numbers, PLACE, Shape};
use super::{Run, Stream};

/// One connection of the load: sends a call, checks the answer, sends the next.
pub(super) struct Caller {
    request: Vec<u8>,
    /// Offsets of the number.
    places: Vec<usize>,
    body_at: usize,
    numbers: Numbers,
    expect: Expect,
    random: u64,
    /// Bytes that were read and not yet used.
    buffer: Vec<u8>,
}

impl Caller {
    pub(super) fn new(shape: &Shape, seed: u64) -> Self {
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

    /// Makes calls until `measured` after `from`. Counts only those answered after `from`.
    pub(super) async fn drive(
        self,
        stream: Stream,
        from: Instant,
        measured: Duration,
    ) -> anyhow::Result<Run> {
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

    /// Reads an answer, which must be a 200, and returns its body.
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
                    Some(size) => self.read_exactly(stream, size).await,
                    None if chunked => self.read_chunks(stream).await,
                    None => bail!("an answer without a length"),
                };
            }
            self.read_more(stream).await?;
        }
    }

    async fn read_exactly(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        size: usize,
    ) -> anyhow::Result<Vec<u8>> {
        while self.buffer.len() < size {
            self.read_more(stream).await?;
        }
        Ok(self.buffer.drain(..size).collect())
    }

    async fn read_chunks(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((start, size))) => {
                    self.buffer.drain(..start);
                    let chunk = self.read_exactly(stream, size as usize + 2).await?;
                    if size == 0 {
                        return Ok(body);
                    }
                    body.extend_from_slice(&chunk[..size as usize]);
                }
                Ok(httparse::Status::Partial) => self.read_more(stream).await?,
                Err(error) => bail!("{error}"),
            }
        }
    }

    async fn read_more(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
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
    fn a_post_has_512_bytes_of_json() {
        let shape = Shape::post("/", "", Numbers::Below(1));
        let body = shape.request.split("\r\n\r\n").nth(1).unwrap();
        assert_eq!(body.len(), 512);
        assert!(shape.request.contains("Content-Length: 512\r\n"));
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
