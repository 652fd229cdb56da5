//! HTTP/2 on either side of the engine: what an upstream's word about a stream proves, and that a
//! call is the same by either version.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::client::SendRequest;
use hyper::http::{HeaderMap, Method, Request, StatusCode};
use testkit::{
    Client, Ending, Engine, Response, TestCa, Trusting, Upstream, all_at_once, block_on, engine,
    engine_with_failpoints,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What an upstream does when a request has begun (RFC 9113, 6 and 8.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// 200 with the body that came.
    Answer,
    /// `RST_STREAM` with this code.
    Reset(u32),
    /// A part of an answer, then `RST_STREAM` with this code.
    Half(u32),
    /// GOAWAY whose last stream comes before this one, then the end.
    GoAwayBefore,
    /// GOAWAY whose last stream is this one, then the end without its answer.
    GoAwayBehind,
    /// The end, without a word.
    Drop,
}

const NO_ERROR: u32 = 0;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const INTERNAL_ERROR: u32 = 2;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// Speaks HTTP/2 in raw frames and does with request number `n` what `acts[n]` says.
struct Http2 {
    addr: SocketAddr,
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
    fn start(ca: &TestCa, acts: &'static [Act]) -> Self {
        let acceptor = TlsAcceptor::from(ca.sign(&["localhost"]).server(&["h2"]));
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
                        let stream = acceptor.accept(stream).await?;
                        Frames(stream).serve(acts, &ledger).await
                    });
                }
            });
            addr
        });
        Self { addr, ledger }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.addr.port())
    }

    fn begun(&self) -> usize {
        self.ledger.begun.load(Ordering::SeqCst)
    }

    fn executed(&self) -> Vec<String> {
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

    async fn go_away(&mut self, last: u32) -> io::Result<()> {
        self.send(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat()).await?;
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
                            return self.go_away(stream.saturating_sub(2)).await;
                        }
                        Act::GoAwayBehind => return self.go_away(stream).await,
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

fn intercepting(ca: &TestCa) -> Engine {
    engine!().arg("--intercept").arg("localhost").arg("--upstream-ca").arg(ca.file()).start()
}

fn tunnel(engine: &Engine, to: SocketAddr) -> Client {
    let client = Trusting::new(&engine.ca_pem(), &["http/1.1"]);
    let authority = format!("localhost:{}", to.port());
    client.tunnel(engine.proxy, &authority, "localhost", "").unwrap().0
}

fn post(engine: &Engine, upstream: &Http2, body: &str) -> Response {
    tunnel(engine, upstream.addr).ask(&testkit::Request::post(&upstream.url("/act"), body))
}

#[test]
fn one_connection_carries_many_calls() {
    let ca = TestCa::new();
    let upstream = Http2::start(&ca, &[]);
    let engine = intercepting(&ca);
    assert_eq!(post(&engine, &upstream, "first").text(), "first");
    let answers = all_at_once(16, |n| {
        let url = upstream.url(&format!("/{n}"));
        tunnel(&engine, upstream.addr).ask(&testkit::Request::get(&url)).status
    });
    assert_eq!(answers, [200; 16]);
    assert_eq!(upstream.begun(), 17);
    assert_eq!(upstream.ledger.connections.load(Ordering::SeqCst), 1);
    post(&engine, &upstream, "first").assert_is(200, "replayed");
    assert_eq!(upstream.begun(), 17);
}

#[test]
fn a_refused_stream_was_not_executed() {
    let ca = TestCa::new();
    let upstream = Http2::start(&ca, &[Act::Reset(REFUSED_STREAM)]);
    let engine = intercepting(&ca);
    let refused = post(&engine, &upstream, "x");
    refused.assert_problem(502, "upstream-failed");
    assert_eq!(refused.json()["sent"], "never");
    let answer = post(&engine, &upstream, "x");
    answer.assert_is(200, "executed");
    assert_eq!(answer.parameter("attempt"), Some("2"));
    assert_eq!(upstream.executed(), ["x"]);
}

#[test]
fn a_stream_behind_the_last_one_was_not_executed_and_is_sent_elsewhere() {
    let ca = TestCa::new();
    let upstream = Http2::start(&ca, &[Act::Answer, Act::GoAwayBefore]);
    let engine = intercepting(&ca);
    let got = tunnel(&engine, upstream.addr).ask(&testkit::Request::get(&upstream.url("/")));
    assert_eq!(got.status, 200);
    // By a kept connection that is said to be over, or by a new one if it took longer than that is
    // trusted for: whichever, one effect and a proper answer.
    let answer = post(&engine, &upstream, "x");
    if upstream.begun() == 3 {
        answer.assert_is(200, "executed");
    } else {
        answer.assert_problem(502, "upstream-failed");
        assert_eq!(answer.json()["sent"], "never");
        post(&engine, &upstream, "x").assert_is(200, "executed");
    }
    assert_eq!(upstream.executed(), ["", "x"]);
}

#[test]
fn anything_else_that_happens_to_a_stream_leaves_it_in_doubt() {
    let ca = TestCa::new();
    for act in [
        &[Act::Reset(CANCEL)] as &'static [Act],
        &[Act::Reset(INTERNAL_ERROR)],
        &[Act::Half(INTERNAL_ERROR)],
        // hyper takes this one for an end in good order.
        &[Act::Half(NO_ERROR)],
        &[Act::GoAwayBehind],
        &[Act::Drop],
    ] {
        let upstream = Http2::start(&ca, act);
        let engine = intercepting(&ca);
        let answer = post(&engine, &upstream, "x");
        answer.assert_problem(502, "upstream-failed");
        assert_eq!(answer.json()["sent"], "maybe", "{act:?}");
        post(&engine, &upstream, "x").assert_problem(424, "in-doubt");
        assert_eq!(upstream.begun(), 1, "{act:?}");
    }
}

#[test]
fn a_read_that_breaks_off_does_not_end_cleanly() {
    let ca = TestCa::new();
    for code in [NO_ERROR, INTERNAL_ERROR] {
        let acts: &'static [Act] =
            if code == NO_ERROR { &[Act::Half(NO_ERROR)] } else { &[Act::Half(INTERNAL_ERROR)] };
        let upstream = Http2::start(&ca, acts);
        let engine = intercepting(&ca);
        let mut client = tunnel(&engine, upstream.addr);
        client.write(testkit::Request::get(&upstream.url("/")).to_origin()).unwrap();
        let whole = client.answer("GET").is_ok_and(|answer| answer.whole);
        assert!(!whole, "{code}");
    }
}

#[test]
fn a_grpc_server_is_told_that_trailers_are_read() {
    let ca = TestCa::new();
    let acceptor = TlsAcceptor::from(ca.sign(&["localhost"]).server(&["h2"]));
    let engine = intercepting(&ca);
    let heard = block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (request, mut answer) = connection.accept().await.unwrap().unwrap();
            answer.send_response(hyper::Response::new(()), true).unwrap();
            tokio::spawn(async move { connection.accept().await });
            request.headers().clone()
        });
        let sender = http2(&engine, addr).await;
        let request =
            Request::post(format!("https://localhost:{}/pkg.Service/Method", addr.port()))
                .header("te", "trailers")
                .header("content-type", "application/grpc")
                .body(())
                .unwrap();
        let (status, headers, _) = ask(&sender, request, "x").await;
        assert_eq!((status, word(&headers)), (StatusCode::OK, "bypassed"));
        server.await.unwrap()
    });
    assert_eq!(heard.get("te").unwrap(), "trailers");
}

#[test]
fn half_a_request_is_none() {
    let ca = TestCa::new();
    let (upstream, behind_tls) = echo(&ca);
    let engine = intercepting(&ca);
    let url = format!("https://localhost:{}/", behind_tls.port());
    block_on(async {
        let sender = http2(&engine, behind_tls).await;
        for code in [NO_ERROR, CANCEL] {
            let mut half = sender.clone().ready().await.unwrap();
            let request = call(&url).method(Method::POST).body(()).unwrap();
            let (answer, mut stream) = half.send_request(request, false).unwrap();
            stream.send_data(Bytes::from_static(b"a half"), false).unwrap();
            // Frames keep their order: once this is answered, the half is there.
            let between = call(&url).method(Method::POST).body(()).unwrap();
            ask(&sender, between, "another").await;
            stream.send_reset(code.into());
            assert!(answer.await.is_err());
            // What was begun is over when the next call is answered: the whole one is the first effect.
            let request = call(&url).method(Method::POST).body(()).unwrap();
            let (status, headers, _) = ask(&sender, request, "a half and the rest").await;
            assert_eq!(status, 200);
            assert!(["executed", "replayed"].contains(&word(&headers)));
        }
    });
    let bodies: Vec<_> = upstream.received().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [b"another".to_vec(), b"a half and the rest".to_vec()]);
}

#[test]
fn killed_after_the_send_it_is_in_doubt_by_either_version() {
    let ca = TestCa::new();
    let (by_http1, behind_tls) = echo(&ca);
    let by_http2 = Http2::start(&ca, &[]);
    for to in [behind_tls, by_http2.addr] {
        let builder = engine_with_failpoints!().arg("--intercept").arg("localhost");
        let builder = builder.arg("--upstream-ca").arg(ca.file());
        let engine = builder.clone().env("STATE_ENGINE_FAILPOINT", "after-send:1").start();
        let call = testkit::Request::post(&format!("https://localhost:{}/", to.port()), "x");
        let mut client = tunnel(&engine, to);
        client.write(call.to_origin()).unwrap();
        assert!(client.answer("POST").is_err(), "nobody is told of anything");
        let (status, _) = engine.wait();
        assert!(!status.success(), "it was to be killed: {status}");
        let engine = builder.start();
        tunnel(&engine, to).ask(&call).assert_problem(424, "in-doubt");
    }
    assert!(by_http1.hits() <= 1 && by_http2.begun() <= 1, "one effect at most");
}

/// A client's HTTP/2 connection inside of an opened tunnel.
async fn http2(engine: &Engine, to: SocketAddr) -> SendRequest<Bytes> {
    let authority = format!("localhost:{}", to.port());
    let (opened, head) = Client::tunnel(engine.proxy, &authority, "").unwrap();
    assert!(head.line.contains(" 200"), "{head:?}");
    let client = Trusting::new(&engine.ca_pem(), &["h2"]);
    let stream = client.secure(opened.wire.stream, "localhost").await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(
    sender: &SendRequest<Bytes>,
    request: Request<()>,
    body: &'static str,
) -> (StatusCode, HeaderMap, String) {
    let (status, headers, said, _) = ask_whole(sender, request, body).await;
    (status, headers, said)
}

/// With the trailers of the answer.
async fn ask_whole(
    sender: &SendRequest<Bytes>,
    request: Request<()>,
    body: &'static str,
) -> (StatusCode, HeaderMap, String, Option<HeaderMap>) {
    let mut sender = sender.clone().ready().await.unwrap();
    let (answer, mut stream) = sender.send_request(request, body.is_empty()).unwrap();
    if !body.is_empty() {
        stream.send_data(body.into(), true).unwrap();
    }
    let (head, mut body) = answer.await.unwrap().into_parts();
    let mut said = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        let _ = body.flow_control().release_capacity(piece.len());
        said.extend_from_slice(&piece);
    }
    let trailers = body.trailers().await.unwrap();
    (head.status, head.headers, String::from_utf8(said).unwrap(), trailers)
}

fn word(headers: &HeaderMap) -> &str {
    let status = headers.get("idempotency-status").unwrap().to_str().unwrap();
    status.split(';').next().unwrap()
}

/// An echo behind TLS that speaks HTTP/1.1 alone.
fn echo(ca: &TestCa) -> (Upstream, SocketAddr) {
    let upstream = Upstream::echo();
    let secured = ca.sign(&["localhost"]).before(upstream.addr, Ending::Told);
    (upstream, secured)
}

fn call(url: &str) -> hyper::http::request::Builder {
    Request::builder().method(Method::POST).uri(url).header("content-type", "text/plain")
}

#[test]
fn a_call_is_the_same_by_either_version() {
    let ca = TestCa::new();
    let (upstream, secured) = echo(&ca);
    let engine = intercepting(&ca);
    let url = format!("https://localhost:{}/act", secured.port());
    // HTTP/2 may make several fields of one Cookie; the principal is the same.
    let first = block_on(async {
        let sender = http2(&engine, secured).await;
        let request = call(&url).header("cookie", "a=1").header("cookie", "b=2");
        ask(&sender, request.body(()).unwrap(), "x").await
    });
    assert_eq!((first.0, word(&first.1)), (StatusCode::OK, "executed"));
    assert_eq!(upstream.only().header("cookie"), Some("a=1; b=2"));
    let again = tunnel(&engine, secured)
        .ask(&testkit::Request::post(&url, "x").header("Cookie", "a=1; b=2"));
    again.assert_is(200, "replayed");
    assert_eq!(again.text(), first.2);
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn streams_of_one_connection_act_once() {
    let ca = TestCa::new();
    let (upstream, secured) = echo(&ca);
    let engine = intercepting(&ca);
    let url = format!("https://localhost:{}/act", secured.port());
    let words = block_on(async {
        let sender = http2(&engine, secured).await;
        let calls: Vec<_> = (0..50)
            .map(|_| {
                let (sender, url) = (sender.clone(), url.clone());
                tokio::spawn(async move {
                    let answer = ask(&sender, call(&url).body(()).unwrap(), "x").await;
                    assert_eq!((answer.0, &*answer.2), (StatusCode::OK, "1 POST /act x"));
                    word(&answer.1).to_owned()
                })
            })
            .collect();
        let mut words = Vec::new();
        for call in calls {
            words.push(call.await.unwrap());
        }
        words
    });
    assert_eq!(words.iter().filter(|word| *word == "executed").count(), 1, "{words:?}");
    assert_eq!(upstream.hits(), 1);
}

/// In HTTP/2 no client has to say that it takes trailers.
#[test]
fn trailers_come_with_a_replay_as_with_the_first_answer() {
    let ca = TestCa::new();
    let upstream = Upstream::start(|_, exchange| {
        exchange.begin_chunked(200, &[("Content-Type", "text/plain"), ("Trailer", "X-Sum")]);
        exchange.chunk("data");
        exchange.end_chunked(&[("X-Sum", "7")]);
    });
    let secured = ca.sign(&["localhost"]).before(upstream.addr, Ending::Told);
    let engine = intercepting(&ca);
    let url = format!("https://localhost:{}/act", secured.port());
    block_on(async {
        let sender = http2(&engine, secured).await;
        for told in ["executed", "replayed"] {
            let request = call(&url).body(()).unwrap();
            let (status, headers, said, trailers) = ask_whole(&sender, request, "x").await;
            assert_eq!((status, word(&headers), &*said), (StatusCode::OK, told, "data"));
            assert_eq!(trailers.unwrap()["x-sum"], "7");
        }
    });
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn another_authority_and_tunnels_in_tunnels_are_refused() {
    let ca = TestCa::new();
    let (upstream, secured) = echo(&ca);
    let engine = intercepting(&ca);
    let url = format!("https://localhost:{}/act", secured.port());
    block_on(async {
        let sender = http2(&engine, secured).await;
        let elsewhere = call("https://elsewhere.example/act").body(()).unwrap();
        assert_eq!(ask(&sender, elsewhere, "x").await.0, StatusCode::MISDIRECTED_REQUEST);
        let two = call(&url).header("host", "elsewhere.example").body(()).unwrap();
        assert_eq!(ask(&sender, two, "x").await.0, StatusCode::MISDIRECTED_REQUEST);
        let clear = call(&url.replace("https:", "http:")).body(()).unwrap();
        assert_eq!(ask(&sender, clear, "x").await.0, StatusCode::NOT_IMPLEMENTED);
        let connect = Request::builder().method(Method::CONNECT).uri("elsewhere.example:443");
        let connect = ask(&sender, connect.body(()).unwrap(), "").await;
        assert_eq!(connect.0, StatusCode::NOT_IMPLEMENTED);
        // The connection is none the worse for it.
        assert_eq!(ask(&sender, call(&url).body(()).unwrap(), "x").await.0, StatusCode::OK);
    });
    assert_eq!(upstream.hits(), 1);
}
