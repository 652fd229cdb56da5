//! HTTP/2 from the client: a call is the same over either version.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use hyper::http::{HeaderMap, Method, Request, StatusCode};
use testkit::{Client, Ending, Engine, TestCa, Trusting, Upstream, block_on};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::trailers::forging;
use super::frames::{CANCEL, NO_ERROR};
use super::{echo, intercepting, tunnel};

#[test]
fn a_grpc_server_learns_that_trailers_are_read() {
    let ca = TestCa::new();
    let acceptor = TlsAcceptor::from(ca.sign(&["localhost"]).server(&["h2"]));
    let engine = intercepting(&ca);
    let received = block_on(async {
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
        let (status, headers, _) = send(&sender, request, "x").await;
        assert_eq!((status, word(&headers)), (StatusCode::OK, "bypassed"));
        server.await.unwrap()
    });
    assert_eq!(received.get("te").unwrap(), "trailers");
}

#[test]
fn half_a_request_is_never_sent() {
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
            // Frames stay in order: this answer means that the half request has arrived.
            let between = call(&url).method(Method::POST).body(()).unwrap();
            send(&sender, between, "another").await;
            stream.send_reset(code.into());
            assert!(answer.await.is_err());
            // The unfinished request ended before this answer: the whole request is the first effect.
            let request = call(&url).method(Method::POST).body(()).unwrap();
            let (status, headers, _) = send(&sender, request, "a half and the rest").await;
            assert_eq!(status, 200);
            assert!(["executed", "replayed"].contains(&word(&headers)));
        }
    });
    let bodies: Vec<_> = upstream.received().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [b"another".to_vec(), b"a half and the rest".to_vec()]);
}

/// A client's HTTP/2 connection in an intercepted tunnel.
pub(super) async fn http2(engine: &Engine, to: SocketAddr) -> SendRequest<Bytes> {
    let authority = format!("localhost:{}", to.port());
    let (opened, head) = Client::tunnel(engine.proxy, &authority, "").unwrap();
    assert!(head.line.contains(" 200"), "{head:?}");
    let client = Trusting::new(&engine.ca_pem(), &["h2"]);
    let stream = client.secure(opened.wire.stream, "localhost").await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub(super) async fn send(
    sender: &SendRequest<Bytes>,
    request: Request<()>,
    body: &'static str,
) -> (StatusCode, HeaderMap, String) {
    let (status, headers, text, _) = send_with_trailers(sender, request, body).await;
    (status, headers, text)
}

/// Also returns the trailers of the answer.
async fn send_with_trailers(
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
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        let _ = body.flow_control().release_capacity(piece.len());
        bytes.extend_from_slice(&piece);
    }
    let trailers = body.trailers().await.unwrap();
    (head.status, head.headers, String::from_utf8(bytes).unwrap(), trailers)
}

pub(super) fn word(headers: &HeaderMap) -> &str {
    let status = headers.get("idempotency-status").unwrap().to_str().unwrap();
    status.split(';').next().unwrap()
}

pub(super) fn call(url: &str) -> hyper::http::request::Builder {
    Request::builder().method(Method::POST).uri(url).header("content-type", "text/plain")
}

#[test]
fn a_call_is_the_same_over_either_version() {
    let ca = TestCa::new();
    let (upstream, secured) = echo(&ca);
    let engine = intercepting(&ca);
    let url = format!("https://localhost:{}/act", secured.port());
    // HTTP/2 may split `Cookie` into several fields. The principal is the same.
    let first = block_on(async {
        let sender = http2(&engine, secured).await;
        let request = call(&url).header("cookie", "a=1").header("cookie", "b=2");
        send(&sender, request.body(()).unwrap(), "x").await
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
fn identical_calls_in_streams_of_one_connection_run_once() {
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
                    let answer = send(&sender, call(&url).body(()).unwrap(), "x").await;
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

/// An HTTP/2 client need not announce that it reads trailers.
#[test]
fn trailers_come_with_a_replay_as_with_the_first_answer() {
    let ca = TestCa::new();
    let upstream = Upstream::start(|_, exchange| {
        exchange.begin_chunked(200, &[("Content-Type", "text/plain"), ("Trailer", "X-Sum")]);
        exchange.chunk("data");
        exchange.end_chunked(&[("X-Sum", "7")]);
    });
    let secured = ca.sign(&["localhost"]).before(upstream.addr, Ending::Clean);
    let engine = intercepting(&ca);
    let url = format!("https://localhost:{}/act", secured.port());
    block_on(async {
        let sender = http2(&engine, secured).await;
        for word in ["executed", "replayed"] {
            let request = call(&url).body(()).unwrap();
            let (status, headers, text, trailers) = send_with_trailers(&sender, request, "x").await;
            assert_eq!((status, self::word(&headers), &*text), (StatusCode::OK, word, "data"));
            assert_eq!(trailers.unwrap()["x-sum"], "7");
        }
    });
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_tool_cannot_speak_for_the_engine_in_its_trailers_over_http2() {
    let ca = TestCa::new();
    let upstream = forging();
    let secured = ca.sign(&["localhost"]).before(upstream.addr, Ending::Clean);
    let engine = intercepting(&ca);
    let url = format!("https://localhost:{}/whole", secured.port());
    block_on(async {
        let sender = http2(&engine, secured).await;
        for word in ["executed", "replayed"] {
            let request = call(&url).body(()).unwrap();
            let (status, headers, _, trailers) = send_with_trailers(&sender, request, "x").await;
            assert_eq!((status, self::word(&headers)), (StatusCode::OK, word));
            let names: Vec<_> = trailers.unwrap().keys().map(ToString::to_string).collect();
            assert_eq!(names, ["x-sum"], "{word}");
        }
    });
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
        assert_eq!(send(&sender, elsewhere, "x").await.0, StatusCode::MISDIRECTED_REQUEST);
        let two = call(&url).header("host", "elsewhere.example").body(()).unwrap();
        assert_eq!(send(&sender, two, "x").await.0, StatusCode::MISDIRECTED_REQUEST);
        let clear = call(&url.replace("https:", "http:")).body(()).unwrap();
        assert_eq!(send(&sender, clear, "x").await.0, StatusCode::NOT_IMPLEMENTED);
        let connect = Request::builder().method(Method::CONNECT).uri("elsewhere.example:443");
        let connect = send(&sender, connect.body(()).unwrap(), "").await;
        assert_eq!(connect.0, StatusCode::NOT_IMPLEMENTED);
        // The connection still works.
        assert_eq!(send(&sender, call(&url).body(()).unwrap(), "x").await.0, StatusCode::OK);
    });
    assert_eq!(upstream.hits(), 1);
}
