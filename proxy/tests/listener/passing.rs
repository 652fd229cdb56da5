//! What passes: reads, bypassed calls, tunnels, upgrades; and what is refused at once.

use base64::prelude::{BASE64_STANDARD, Engine as _};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{self, Answer, Engine, Upstream, get, post};

const OK: &str = "HTTP/1.1 200 OK\r\nX-Upper: Yes\r\nContent-Length: 4\r\n\r\ndata";

async fn tunnel(engine: &Engine, connect: &str) -> BufReader<TcpStream> {
    let mut stream = BufReader::new(TcpStream::connect(engine.address).await.unwrap());
    stream.write_all(connect.as_bytes()).await.unwrap();
    let head = support::read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.0 200"), "{head}");
    stream
}

#[tokio::test]
async fn reads_pass_and_carry_none_of_our_headers() {
    let (engine, tool) = (Engine::start().await, Upstream::saying(OK).await);
    for _ in 0..3 {
        let answer = engine.ask(get(tool.address, "/a%2Fb?x=%zz", "")).await;
        assert_eq!((answer.status, answer.text()), (200, "data"));
        assert_eq!(answer.header("idempotency-status"), None);
        assert!(answer.head.contains("X-Upper: Yes"), "{}", answer.head);
        assert!(answer.header("via").unwrap().starts_with("1.1 ose-"));
    }
    assert_eq!(tool.hits(), 3);
}

#[tokio::test]
async fn a_path_arrives_as_it_was_sent() {
    let (engine, tool) = (Engine::start().await, Upstream::echo().await);
    let answer = engine.ask(get(tool.address, "/a%2Fb/../c?x=%zz&y", "")).await;
    assert!(answer.text().starts_with("GET /a%2Fb/../c?x=%zz&y HTTP/1.1\r\n"), "{}", answer.text());
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let (engine, tool) = (Engine::start().await, Upstream::saying(OK).await);
    let mut client = BufReader::new(TcpStream::connect(engine.address).await.unwrap());
    for _ in 0..3 {
        client.write_all(get(tool.address, "/", "").as_bytes()).await.unwrap();
        assert_eq!(Answer::read(&mut client).await.text(), "data");
    }
}

#[tokio::test]
async fn a_head_answer_keeps_its_length() {
    let (engine, tool) = (
        Engine::start().await,
        Upstream::saying("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n").await,
    );
    let mut client = BufReader::new(TcpStream::connect(engine.address).await.unwrap());
    for _ in 0..2 {
        let head = get(tool.address, "/", "").replacen("GET", "HEAD", 1);
        client.write_all(head.as_bytes()).await.unwrap();
        let head = support::read_head(&mut client).await;
        assert!(head.to_lowercase().contains("content-length: 99"), "{head}");
    }
}

#[tokio::test]
async fn two_posts_in_one_tunnel_are_guarded_as_in_absolute_form() {
    let (engine, tool) = (Engine::start().await, Upstream::saying(OK).await);
    let host = tool.address;
    let mut inside =
        tunnel(&engine, &format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    let mut keys = Vec::new();
    for body in ["a", "b"] {
        let raw = post(host, "/act", "", body).replacen(&format!("http://{host}"), "", 1);
        inside.write_all(raw.as_bytes()).await.unwrap();
        let answer = Answer::read(&mut inside).await;
        assert_eq!((answer.status, answer.status_word()), (200, "executed"));
        keys.push(answer.header("idempotency-key").unwrap().to_owned());
    }
    assert_ne!(keys[0], keys[1]);
    let absolute = engine.post(&tool, "", "a").await;
    assert_eq!(absolute.status_word(), "replayed");
    assert_eq!(absolute.header("idempotency-key"), Some(keys[0].as_str()));
    assert_eq!(tool.hits(), 2);

    let wrong = post(host, "/act", "", "c").replacen(&format!("http://{host}"), "", 1);
    let wrong = wrong.replacen(&host.to_string(), "evil.example", 1);
    inside.write_all(wrong.as_bytes()).await.unwrap();
    assert_eq!(Answer::read(&mut inside).await.status, 421);
}

#[tokio::test]
async fn connect_by_http_1_0_without_host_is_accepted() {
    let (engine, tool) = (Engine::start().await, Upstream::saying(OK).await);
    let mut inside = tunnel(&engine, &format!("CONNECT {} HTTP/1.0\r\n\r\n", tool.address)).await;
    let raw = get(tool.address, "/", "").replacen(&format!("http://{}", tool.address), "", 1);
    // In two parts: the first alone does not show what the tunnel carries.
    inside.write_all(&raw.as_bytes()[..2]).await.unwrap();
    inside.flush().await.unwrap();
    tokio::task::yield_now().await;
    inside.write_all(&raw.as_bytes()[2..]).await.unwrap();
    assert_eq!(Answer::read(&mut inside).await.text(), "data");
}

#[tokio::test]
async fn other_protocols_are_carried_blindly() {
    let engine = Engine::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connect = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    // The client speaks first, and not HTTP.
    let mut inside = tunnel(&engine, &connect).await;
    let (mut server, _) = listener.accept().await.unwrap();
    inside.write_all(b"\x16\x03\x01POST / HTTP/1.1\r\n").await.unwrap();
    let mut got = [0; 20];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"\x16\x03\x01POST / HTTP/1.1\r\n");
    server.write_all(b"reply").await.unwrap();
    let mut reply = [0; 5];
    inside.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"reply");
    // The server speaks first.
    let mut inside = tunnel(&engine, &connect).await;
    let (mut server, _) = listener.accept().await.unwrap();
    server.write_all(b"220 hi").await.unwrap();
    let mut banner = [0; 6];
    inside.read_exact(&mut banner).await.unwrap();
    inside.write_all(b"POST / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut got = [0; 19];
    server.read_exact(&mut got).await.unwrap();
    // A closed server closes the tunnel.
    drop(server);
    assert_eq!(inside.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn an_upgrade_is_passed_through_and_says_so() {
    let engine = Engine::start().await;
    let tool = Upstream::start(|seen, mut stream| {
        Box::pin(async move {
            assert_eq!(seen.header("upgrade"), Some("websocket"));
            let raw = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
            stream.write_all(raw.as_bytes()).await.ok()?;
            let mut ping = [0; 4];
            stream.read_exact(&mut ping).await.ok()?;
            stream.write_all(&ping).await.ok()?;
            None
        })
    })
    .await;
    let mut client = BufReader::new(TcpStream::connect(engine.address).await.unwrap());
    let headers = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    client.write_all(get(tool.address, "/ws", headers).as_bytes()).await.unwrap();
    let answer = Answer::read(&mut client).await;
    assert_eq!((answer.status, answer.status_word()), (101, "bypassed"));
    client.write_all(b"ping").await.unwrap();
    let mut pong = Vec::new();
    client.read_to_end(&mut pong).await.unwrap();
    assert_eq!(pong, b"ping");
}

#[tokio::test]
async fn own_ports_and_metadata_are_refused_by_every_path() {
    let engine = Engine::start().await;
    let port = engine.address.port();
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        format!("0.0.0.0:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        "127.0.0.1:3030".to_owned(),
        "169.254.169.254:80".to_owned(),
    ] {
        let raw = format!("GET http://{host}/x HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = engine.ask(raw).await;
        assert_eq!(answer.status, 403, "{host}: {answer:?}");
        assert_eq!(answer.json()["type"], "urn:openclaw-state-engine:refused");
        if !host.ends_with(&format!(":{port}")) {
            let raw = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(engine.ask(raw).await.status, 403, "{host}");
        }
    }
}

#[tokio::test]
async fn a_tunnel_to_the_proxy_itself_is_a_connection_to_it() {
    let engine = Engine::start().await;
    let host = engine.address;
    let mut inside = tunnel(&engine, &format!("CONNECT {host} HTTP/1.1\r\n\r\n")).await;
    let raw = format!("POST /confirm/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
    inside.write_all(raw.as_bytes()).await.unwrap();
    assert_eq!(Answer::read(&mut inside).await.status, 400);
    inside.write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    assert_eq!(Answer::read(&mut inside).await.status, 404, "no web server, as outside of it");
    inside.write_all(format!("CONNECT {host} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
    assert_eq!(Answer::read(&mut inside).await.status, 501, "once is enough");
}

#[tokio::test]
async fn bad_requests_are_refused_before_anything_is_sent() {
    let (engine, tool) = (Engine::start().await, Upstream::saying(OK).await);
    let host = tool.address;
    for (raw, status) in [
        (format!("GET https://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"), 501),
        (format!("GET http://u:p@{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400),
        (format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), 421),
        (format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", engine.address), 404),
        (format!("TRACE http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"), 405),
        (format!("CONNECT {} HTTP/1.1\r\n\r\n", host.ip()), 400),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 204),
        (post(host, "/", "Transfer-Encoding: gzip, chunked\r\n", ""), 501),
    ] {
        assert_eq!(engine.ask(&raw).await.status, status, "{raw}");
    }
    assert_eq!(tool.hits(), 0);
}

#[tokio::test]
async fn a_refused_client_that_goes_on_sending_still_sees_why() {
    let engine = Engine::with(|config| config.limits.max_request = 1_000).await;
    let tool = Upstream::saying(OK).await;
    let answer = engine.post(&tool, "", &"x".repeat(20_000_000)).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["type"], "urn:openclaw-state-engine:too-large");
    assert_eq!(tool.hits(), 0);
}

#[tokio::test]
async fn a_loop_is_seen() {
    let engine = Engine::with(|config| config.own.instance = "me".to_owned()).await;
    let tool = Upstream::saying(OK).await;
    let answer = engine.ask(get(tool.address, "/", "Via: 1.0 other, 1.1 me\r\n")).await;
    assert_eq!(answer.status, 508);
    assert!(answer.header("proxy-status").unwrap().ends_with("error=proxy_loop_detected"));
    assert_eq!(tool.hits(), 0);
}

#[tokio::test]
async fn required_tokens_are_required_in_tunnels_too() {
    let engine = Engine::with(|config| config.access.require_token = true).await;
    let tool = Upstream::saying(OK).await;
    let host = tool.address;
    assert_eq!(engine.post(&tool, "", "x").await.status, 407);
    assert_eq!(engine.ask(format!("CONNECT {host} HTTP/1.1\r\n\r\n")).await.status, 407);
    let token = engine.store.session_token("mine");
    let basic = BASE64_STANDARD.encode(format!("mine:{token}"));
    let credentials = format!("Proxy-Authorization: Basic {basic}\r\n");
    assert_eq!(engine.post(&tool, &credentials, "x").await.status_word(), "executed");
    let mut inside =
        tunnel(&engine, &format!("CONNECT {host} HTTP/1.1\r\n{credentials}\r\n")).await;
    let raw = post(host, "/act", "", "x").replacen(&format!("http://{host}"), "", 1);
    inside.write_all(raw.as_bytes()).await.unwrap();
    assert_eq!(Answer::read(&mut inside).await.status_word(), "replayed");
}

/// A browser's request or a client's that knows its server speaks HTTP/2 without TLS: no request
/// that could be guarded, and never treated as HTTP/1.
#[tokio::test]
async fn http2_in_clear_is_carried_blindly() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let engine = Engine::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connect = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut inside = tunnel(&engine, &connect).await;
    let (mut server, _) = listener.accept().await.unwrap();
    inside.write_all(PREFACE).await.unwrap();
    let mut got = [0; PREFACE.len()];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(got, PREFACE);
}

#[tokio::test]
async fn tunnels_lead_to_the_ports_that_are_allowed() {
    let tool = Upstream::saying(OK).await;
    let host = tool.address;
    let connect = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let engine = Engine::with(|config| config.access.connect_ports = vec![443]).await;
    let refused = engine.ask(&connect).await;
    assert_eq!(refused.status, 403);
    assert!(refused.json()["detail"].as_str().unwrap().contains("connect_ports"));
    // Clear HTTP needs no tunnel, and the engine's own address is not an upstream.
    assert_eq!(engine.ask(get(host, "/", "")).await.status, 200);
    tunnel(&engine, &format!("CONNECT {} HTTP/1.1\r\n\r\n", engine.address)).await;
    let engine = Engine::with(|config| config.access.connect_ports = vec![443, host.port()]).await;
    tunnel(&engine, &connect).await;
}

#[tokio::test]
async fn options_go_as_far_as_they_are_let() {
    let (engine, tool) = (Engine::start().await, Upstream::echo().await);
    let options = |most: &str| {
        get(tool.address, "/", &format!("Max-Forwards: {most}\r\n")).replacen("GET", "OPTIONS", 1)
    };
    let own = engine.ask(options("0")).await;
    assert_eq!((own.status, tool.hits()), (204, 0));
    assert!(own.header("allow").is_some(), "{own:?}");
    let theirs = engine.ask(options("3")).await;
    assert!(theirs.text().contains("Max-Forwards: 2\r\n"), "{}", theirs.text());
}
