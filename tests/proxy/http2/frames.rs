//! An upstream that speaks HTTP/2 in raw frames, and breaks off where a test wants it.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use testkit::{TestCa, block_on};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What an upstream does when a request has begun (RFC 9113, 6 and 8.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// 200 with the request's body.
    Answer,
    /// `RST_STREAM` with this code.
    Reset(u32),
    /// A part of an answer, then `RST_STREAM` with this code.
    Half(u32),
    /// GOAWAY whose last stream is an earlier one, then the connection closes.
    GoAwayBefore,
    /// The same, with this code.
    GoAwayFor(u32),
    /// GOAWAY whose last stream is this one, then the connection closes without an answer.
    GoAwayBehind,
    /// The connection closes without an answer.
    Drop,
}

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const HTTP_1_1_REQUIRED: u32 = 13;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// Speaks HTTP/2 in raw frames and treats request number `n` as `acts[n]` says.
pub(crate) struct Http2 {
    pub(crate) addr: SocketAddr,
    ledger: Arc<Ledger>,
}

#[derive(Default)]
struct Ledger {
    begun: AtomicUsize,
    connections: AtomicUsize,
    /// Bodies of requests that were answered.
    executed: Mutex<Vec<String>>,
}

impl Http2 {
    pub(crate) fn start(ca: &TestCa, acts: &'static [Act]) -> Self {
        Self::beside(None, ca, acts)
    }

    /// Requests by HTTP/1.1 on the same port go to `http1`.
    pub(crate) fn beside(http1: Option<SocketAddr>, ca: &TestCa, acts: &'static [Act]) -> Self {
        let protocols = if http1.is_some() { &["h2", "http/1.1"][..] } else { &["h2"] };
        let acceptor = TlsAcceptor::from(ca.sign(&["localhost"]).server(protocols));
        let ledger = Arc::<Ledger>::default();
        let counted = Arc::clone(&ledger);
        let addr = block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    counted.connections.fetch_add(1, Ordering::SeqCst);
                    let (acceptor, ledger) = (acceptor.clone(), Arc::clone(&counted));
                    tokio::spawn(async move {
                        let mut stream = acceptor.accept(stream).await?;
                        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        if let (Some(http1), false) = (http1, is_http2) {
                            let mut plain = TcpStream::connect(http1).await?;
                            copy_bidirectional(&mut stream, &mut plain).await?;
                            return Ok(());
                        }
                        Frames(stream).serve(acts, &ledger).await
                    });
                }
            });
            addr
        });
        Self { addr, ledger }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.addr.port())
    }

    pub(crate) fn begun(&self) -> usize {
        self.ledger.begun.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.ledger.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn executed(&self) -> Vec<String> {
        self.ledger.executed.lock().unwrap().clone()
    }
}

struct Frames(TlsStream<TcpStream>);

impl Frames {
    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).await?;
        self.0.flush().await
    }

    async fn receive(&mut self) -> io::Result<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await?;
        Ok((head[3], head[4], stream, payload))
    }

    async fn go_away(&mut self, last: u32, code: u32) -> io::Result<()> {
        self.send(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat()).await?;
        self.0.shutdown().await
    }

    async fn serve(mut self, acts: &[Act], ledger: &Ledger) -> io::Result<()> {
        let mut preface = [0; 24];
        self.0.read_exact(&mut preface).await?;
        self.send(SETTINGS, 0, 0, &[]).await?;
        let mut bodies: Vec<(u32, Vec<u8>)> = Vec::new();
        loop {
            let (kind, flags, stream, payload) = self.receive().await?;
            match kind {
                SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).await?,
                PING if flags & ACK == 0 => self.send(PING, ACK, 0, &payload).await?,
                HEADERS => {
                    let number = ledger.begun.fetch_add(1, Ordering::SeqCst);
                    match acts.get(number).copied().unwrap_or(Act::Answer) {
                        Act::Answer => bodies.push((stream, Vec::new())),
                        Act::Reset(code) => {
                            self.send(RST_STREAM, 0, stream, &code.to_be_bytes()).await?;
                        }
                        Act::Half(code) => {
                            self.send(HEADERS, END_HEADERS, stream, &[0x88]).await?;
                            self.send(DATA, 0, stream, b"half").await?;
                            self.send(RST_STREAM, 0, stream, &code.to_be_bytes()).await?;
                        }
                        Act::GoAwayBefore => {
                            return self.go_away(stream.saturating_sub(2), NO_ERROR).await;
                        }
                        Act::GoAwayFor(code) => {
                            return self.go_away(stream.saturating_sub(2), code).await;
                        }
                        Act::GoAwayBehind => return self.go_away(stream, NO_ERROR).await,
                        Act::Drop => return Ok(()),
                    }
                }
                DATA => {
                    if let Some((_, body)) = bodies.iter_mut().find(|(id, _)| *id == stream) {
                        body.extend(payload);
                    }
                }
                _ => {}
            }
            if (kind == HEADERS || kind == DATA)
                && flags & END_STREAM != 0
                && let Some(at) = bodies.iter().position(|(id, _)| *id == stream)
            {
                let (_, body) = bodies.remove(at);
                ledger.executed.lock().unwrap().push(String::from_utf8(body.clone()).unwrap());
                // 0x88 is `:status: 200` (RFC 7541, appendix A).
                self.send(HEADERS, END_HEADERS, stream, &[0x88]).await?;
                self.send(DATA, END_STREAM, stream, &body).await?;
            }
        }
    }
}
