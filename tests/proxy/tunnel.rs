//! CONNECT: clear HTTP in a tunnel is guarded, anything else passes blindly and is counted. Also: which
//! addresses may be dialled.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};

use testkit::{Client, Engine, Exchange, Request, Response, Upstream, engine, wait_until};

fn open(engine: &Engine, authority: &str) -> Client {
    let (client, head) = Client::tunnel(engine.proxy, authority, "").unwrap();
    assert!(head.line.contains(" 200"), "{head:?}");
    assert_eq!(head.get("content-length"), None, "{head:?}");
    assert_eq!(head.get("transfer-encoding"), None, "{head:?}");
    client
}

fn refused(engine: &Engine, authority: &str) -> Response {
    let (mut client, head) = Client::tunnel(engine.proxy, authority, "").unwrap();
    client.rest(head, "GET")
}

#[test]
fn two_posts_in_one_tunnel_are_two_guarded_requests() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let mut tunnel = open(&engine, &upstream.addr.to_string());
    let a = Request::post(&upstream.url("/act?q=%2F"), "a");
    let b = Request::post(&upstream.url("/act?q=%2F"), "b");
    let first = tunnel.ask(&a);
    first.assert_is(200, "executed");
    tunnel.ask(&b).assert_is(200, "executed");
    tunnel.ask(&a).assert_is(200, "replayed");
    // The same POST in absolute form, and in another tunnel, is a duplicate of the first.
    let absolute = engine.send(&a);
    absolute.assert_is(200, "replayed");
    assert_eq!(absolute.body, first.body);
    open(&engine, &upstream.addr.to_string()).ask(&b).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 2);
    assert_eq!(engine.proxied().len(), 2);
    let got = tunnel.ask(&Request::get(&upstream.url("/read")));
    assert_eq!(got.status, 200);
}

#[test]
fn connect_over_http_1_0_without_a_host_is_accepted() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(format!("CONNECT {} HTTP/1.0\r\n\r\n", upstream.addr)).unwrap();
    let head = client.head().unwrap();
    assert!(head.line.contains(" 200"), "{head:?}");
    client.ask(&Request::post(&upstream.url("/"), "x")).assert_is(200, "executed");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_host_inside_that_is_not_the_tunnels_is_misdirected() {
    let upstream = Upstream::echo();
    let elsewhere = Upstream::echo();
    let engine = engine!().start();
    for inner in [
        Request::post(&elsewhere.url("/"), "x").to_origin(),
        Request::post(&elsewhere.url("/"), "x").to_proxy(),
        Request::post("http://evil.example/", "x").to_origin(),
    ] {
        let mut tunnel = open(&engine, &upstream.addr.to_string());
        tunnel.write(inner).unwrap();
        assert_eq!(tunnel.answer("POST").unwrap().status, 421);
    }
    assert_eq!((upstream.hits(), elsewhere.hits()), (0, 0));
}

#[test]
fn proxy_authorization_inside_a_tunnel_stays_inside() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let mut tunnel = open(&engine, &upstream.addr.to_string());
    let request =
        Request::post(&upstream.url("/"), "x").header("Proxy-Authorization", "Basic czpw");
    tunnel.ask(&request).assert_is(200, "executed");
    assert_eq!(upstream.only().header("proxy-authorization"), None);
}

#[test]
fn other_protocols_than_http_pass_blindly_both_ways() {
    // Like TLS: the client speaks first, with the first byte of a TLS handshake.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = [0; 6];
        stream.read_exact(&mut hello).unwrap();
        std::io::Write::write_all(&mut stream, b"\x16server").unwrap();
        hello
    });
    let engine = engine!().start();
    let mut tunnel = open(&engine, &addr.to_string());
    tunnel.write(b"\x16hello").unwrap();
    assert_eq!(tunnel.wire.read_bytes(7).unwrap(), b"\x16server");
    assert_eq!(&server.join().unwrap(), b"\x16hello");
    assert_eq!(engine.proxied().len(), 0);
}

#[test]
fn a_tunnel_whose_server_speaks_first_is_blind() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"220 mail\r\n").unwrap();
        let mut reply = [0; 9];
        stream.read_exact(&mut reply).unwrap();
        reply
    });
    let engine = engine!().start();
    let mut tunnel = open(&engine, &addr.to_string());
    assert_eq!(tunnel.wire.read_bytes(10).unwrap(), b"220 mail\r\n");
    // These bytes could be an HTTP method, but the server spoke first.
    tunnel.write(b"POST / x\n").unwrap();
    assert_eq!(&server.join().unwrap(), b"POST / x\n");
}

#[test]
fn a_tunnel_to_a_closed_port_is_a_502_that_says_so() {
    let addr = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let engine = engine!().start();
    let answer = refused(&engine, &addr.to_string());
    answer.assert_problem(502, "upstream-failed");
    assert_eq!(answer.json()["sent"], "never");
}

#[test]
fn connect_needs_a_port_and_a_host() {
    let engine = engine!().start();
    for authority in
        ["127.0.0.1", "tool.example", "127.0.0.1:0", "127.0.0.1:99999", ":80", "a@127.0.0.1:80"]
    {
        let answer = refused(&engine, authority);
        assert_eq!(answer.status, 400, "{authority}: {answer:?}");
    }
}

#[test]
fn the_engines_own_ports_and_metadata_addresses_are_not_dialled() {
    let engine = engine!().start();
    let mapped = |addr: SocketAddr| format!("[::ffff:127.0.0.1]:{}", addr.port());
    let any = |addr: SocketAddr| format!("0.0.0.0:{}", addr.port());
    let name = |addr: SocketAddr| format!("localhost:{}", addr.port());
    let denied = [
        engine.api.to_string(),
        mapped(engine.api),
        any(engine.api),
        name(engine.api),
        "169.254.169.254:80".to_owned(),
        "[::ffff:169.254.169.254]:80".to_owned(),
        "[fd00:ec2::254]:80".to_owned(),
        "[fe80::1]:80".to_owned(),
    ];
    for authority in denied {
        let url = format!("http://{authority}/latest/meta-data");
        for request in [Request::get(&url), Request::post(&url, "x")] {
            engine.send(&request).assert_problem(403, "refused");
        }
        assert_eq!(refused(&engine, &authority).status, 403, "CONNECT {authority}");
    }
    let executions = engine.proxied();
    assert!(executions.iter().all(|one| one["status"] == "failed"), "{executions:#?}");
}

#[test]
fn a_tunnel_to_the_proxy_itself_ends_in_it() {
    let engine = engine!().start();
    let port = engine.proxy.port();
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "localhost"] {
        let authority = format!("{host}:{port}");
        let (mut client, head) = Client::tunnel(engine.proxy, &authority, "").unwrap();
        if head.line.contains(" 200") {
            let inside = client.ask(&Request::get(&format!("http://{authority}/")));
            assert!([403, 404].contains(&inside.status), "{authority}: {inside:?}");
        } else {
            assert!(head.line.contains(" 403"), "{authority}: {head:?}");
        }
        let absolute = engine.send(&Request::post(&format!("http://{authority}/"), "x"));
        assert!([403, 404].contains(&absolute.status), "{authority}: {absolute:?}");
    }
}

#[test]
fn the_api_cannot_be_reached_through_the_proxy() {
    let engine = engine!().start();
    let url = format!("http://{}/", engine.api);
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"create_user","params":{"username":"eve"}}"#;
    engine.send(&Request::post_json(&url, call)).assert_problem(403, "refused");
    // The call did not run: the name is free.
    engine.rpc("create_user", &serde_json::json!({"username": "eve"}));
}

#[test]
fn a_request_that_comes_back_is_a_loop() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    engine.post(&upstream.url("/"), "x").assert_is(200, "executed");
    let via = upstream.only().header("via").unwrap().to_owned();
    assert!(via.starts_with("1.1 "), "{via}");
    for value in [via.clone(), format!("1.0 other, {via}"), format!("{via}, 1.1 other")] {
        for request in [Request::get(&upstream.url("/")), Request::post(&upstream.url("/"), "y")] {
            let answer = engine.send(&request.header("Via", &value));
            answer.assert_problem(508, "loop");
            let status = answer.header("proxy-status").unwrap_or_default();
            assert!(status.contains("error=proxy_loop_detected"), "{answer:?}");
        }
    }
    assert_eq!(upstream.hits(), 1);
    let other = Request::post(&upstream.url("/"), "z").header("Via", "1.1 other");
    engine.send(&other).assert_is(200, "executed");
    let received = upstream.received().remove(1);
    let all: Vec<&str> = received.head.all("via").collect();
    assert_eq!(all.join(", "), format!("1.1 other, {via}"));
}

#[test]
fn an_upgrade_passes_unguarded_and_its_answer_says_so() {
    let upstream = Upstream::start(|request, exchange: &mut Exchange| {
        assert_eq!(request.header("upgrade"), Some("websocket"), "{request:?}");
        exchange.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        let received = exchange.wire.read_bytes(4).unwrap();
        exchange.write([b"got ", &received[..]].concat());
        exchange.close();
    });
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    let request = Request::get(&upstream.url("/ws"))
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Key", "x");
    client.write(request.to_proxy()).unwrap();
    let head = client.wire.read_head().unwrap().unwrap();
    assert!(head.line.contains(" 101"), "{head:?}");
    assert!(
        head.get("idempotency-status").is_some_and(|status| status.starts_with("bypassed")),
        "{head:?}"
    );
    client.write("ping").unwrap();
    let (received, _) = client.wire.read_rest(testkit::Framing::Close);
    assert_eq!(received, b"got ping");
}

#[test]
fn other_upgrades_are_dropped_and_the_request_is_guarded() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let h2c =
        Request::get(&upstream.url("/a")).header("Connection", "Upgrade").header("Upgrade", "h2c");
    assert_eq!(engine.send(&h2c).status, 200);
    let post = Request::post(&upstream.url("/b"), "x")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket");
    engine.send(&post).assert_is(200, "executed");
    engine.send(&Request::post(&upstream.url("/b"), "x")).assert_is(200, "replayed");
    assert!(upstream.received().iter().all(|request| request.header("upgrade").is_none()));
}

#[test]
fn tunnels_are_counted_by_host() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let engine = engine!().start();
    let mut tunnel = open(&engine, &upstream.local_addr().unwrap().to_string());
    tunnel.write(b"\x16\x03\x01").unwrap();
    // What the client has sent decides what the tunnel is: it arrives once that is decided.
    upstream.accept().unwrap().0.read_exact(&mut [0; 3]).unwrap();
    drop(tunnel);
    // Tunnels are summed up in one row a minute. At shutdown the rest is written.
    let database = engine.builder().database_path().to_owned();
    engine.terminate();
    let (_, builder) = engine.wait();
    let engine = builder.start();
    let events = wait_until("the row is there", || {
        let events = engine.rpc("list_events", &serde_json::json!({})).to_string();
        events.contains("tunnel").then_some(events)
    });
    assert!(events.contains(&upstream.local_addr().unwrap().ip().to_string()), "{events}");
    assert!(database.exists());
}
