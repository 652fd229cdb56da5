//! Clients of another time or in a hurry: HTTP/1.0, `Expect`, and requests that do not wait for answers.

use std::net::SocketAddr;

use testkit::{Client, Request, Response, Upstream, engine};

fn post(version: &str, to: SocketAddr, fields: &str, body: &str) -> String {
    format!(
        "POST http://{to}/act HTTP/{version}\r\nContent-Type: text/plain\r\n{fields}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn ask(proxy: SocketAddr, bytes: &str) -> Response {
    let mut client = Client::connect(proxy).unwrap();
    client.write(bytes).unwrap();
    client.answer("POST").unwrap()
}

#[test]
fn http_1_0_is_guarded_as_1_1_is() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let to = upstream.addr;
    // Without Host, and without a connection that is kept.
    let answer = ask(engine.proxy, &post("1.0", to, "", "a"));
    answer.assert_is(200, "executed");
    assert_ne!(answer.header("connection"), Some("keep-alive"));
    let host = format!("Host: {to}\r\n");
    ask(engine.proxy, &post("1.1", to, &host, "a")).assert_is(200, "replayed");
    ask(engine.proxy, &post("1.0", to, &host, "a")).assert_is(200, "replayed");
    // A kept connection, which the client has to ask for.
    let mut client = Client::connect(engine.proxy).unwrap();
    for (body, word) in [("b", "executed"), ("b", "replayed"), ("c", "executed")] {
        client.write(post("1.0", to, "Connection: keep-alive\r\n", body)).unwrap();
        let answer = client.answer("POST").unwrap();
        answer.assert_is(200, word);
        assert_eq!(answer.header("connection"), Some("keep-alive"), "{answer:?}");
    }
    // Expect is not for HTTP/1.0 (RFC 9110, 10.1.1): the first thing that comes is the answer.
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(post("1.0", to, "Expect: 100-continue\r\n", "d")).unwrap();
    let first = client.wire.read_head().unwrap().unwrap();
    assert!(first.line.contains(" 200"), "{first:?}");
    assert_eq!(upstream.hits(), 4);
}

#[test]
fn http_1_0_gets_no_chunks() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.begin_chunked(200, &[("X-Tool", "chunks")]);
        exchange.chunk("one ");
        exchange.chunk("two");
        exchange.end_chunked(&[("X-Sum", "1")]);
    });
    let engine = engine!().start();
    for word in ["executed", "replayed"] {
        let answer = ask(engine.proxy, &post("1.0", upstream.addr, "", "x"));
        answer.assert_is(200, word);
        assert_eq!(answer.header("transfer-encoding"), None, "{answer:?}");
        assert_eq!(answer.text(), "one two");
    }
    let get = format!("GET http://{}/ HTTP/1.0\r\n\r\n", upstream.addr);
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(get).unwrap();
    let read = client.answer("GET").unwrap();
    assert_eq!((read.status, read.header("transfer-encoding")), (200, None), "{read:?}");
    assert_eq!(read.text(), "one two");
}

#[test]
fn an_expectation_is_met_once_and_stays_here() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let to = upstream.addr;
    let host = format!("Host: {to}\r\n");
    for (name, field) in [
        ("in capitals", "Expect: 100-CONTINUE\r\n"),
        ("and a body that does not wait", "Expect: 100-continue\r\n"),
        ("for nothing that is known", "Expect: 200-ok\r\n"),
    ] {
        let answer = ask(engine.proxy, &post("1.1", to, &[&host, field].concat(), name));
        answer.assert_is(200, "executed");
    }
    // A duplicate that waits for the 100 gets it, and then the stored answer.
    let call = post("1.1", to, &format!("{host}Expect: 100-continue\r\n"), "in capitals");
    let (head, body) = call.split_at(call.find("\r\n\r\n").unwrap() + 4);
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(head).unwrap();
    assert!(client.wire.read_head().unwrap().unwrap().line.contains(" 100"));
    client.write(body).unwrap();
    client.answer("POST").unwrap().assert_is(200, "replayed");
    // Chunks may wait too.
    let chunked = format!(
        "POST http://{to}/act HTTP/1.1\r\n{host}Expect: 100-continue\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    client.write(chunked).unwrap();
    assert!(client.wire.read_head().unwrap().unwrap().line.contains(" 100"));
    client.write("5\r\nchunk\r\n0\r\n\r\n").unwrap();
    client.answer("POST").unwrap().assert_is(200, "executed");
    assert!(upstream.received().iter().all(|request| request.header("expect").is_none()));
}

#[test]
fn requests_that_do_not_wait_are_answered_in_their_order() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let to = upstream.addr;
    let url = upstream.url("/act");
    let number = |n: usize| Request::post(&url, (n % 10).to_string().into_bytes()).to_proxy();
    let all: Vec<u8> = (0..20).flat_map(number).collect();
    for piece in [all.len(), 1_000, 37] {
        let mut client = Client::connect(engine.proxy).unwrap();
        for piece in all.chunks(piece) {
            client.write(piece).unwrap();
        }
        for n in 0..20 {
            let answer = client.answer("POST").unwrap();
            assert!(answer.text().ends_with(&format!(" {}", n % 10)), "{n}: {}", answer.text());
        }
    }
    assert_eq!(upstream.hits(), 10);
    // Reads between calls, and one that ends the connection before the last.
    let mut client = Client::connect(engine.proxy).unwrap();
    let host = format!("Host: {to}\r\n");
    let last = post("1.1", to, &format!("{host}Connection: close\r\n"), "last");
    let read = Request::get(&upstream.url("/read")).to_proxy();
    let behind = post("1.1", to, &host, "behind the end");
    client.write([&number(1), &read, last.as_bytes(), behind.as_bytes()].concat()).unwrap();
    client.answer("POST").unwrap().assert_is(200, "replayed");
    assert_eq!(client.answer("GET").unwrap().status, 200);
    client.answer("POST").unwrap().assert_is(200, "executed");
    assert!(client.answer("POST").is_err(), "the connection has ended");
    assert_eq!(upstream.hits_with(b"behind the end"), 0);
    // What is malformed ends the connection, and what came before it is answered.
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write([&number(1), b"hello\r\n\r\n".as_slice(), &number(11)].concat()).unwrap();
    client.answer("POST").unwrap().assert_is(200, "replayed");
    assert_eq!(client.answer("POST").unwrap().status, 400);
    assert!(client.answer("POST").is_err());
}
