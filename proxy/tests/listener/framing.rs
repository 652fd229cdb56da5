//! How answers are framed: what the tool's own framing was decides nothing about ours, and a body
//! that breaks off never looks whole.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::{Answer, Engine, Upstream, get, post};

/// RFC 9112, 6.3: a transfer coding overrides a length. Kept, the length would make of what is
/// behind it the next answer on the client's connection.
#[tokio::test]
async fn a_length_that_a_transfer_coding_overrides_is_not_passed_on() {
    let engine = Engine::start().await;
    for kind in ["application/json", "text/event-stream"] {
        let tool = Upstream::start(move |_, mut stream| {
            Box::pin(async move {
                let raw = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 3\r\n\
                     Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n"
                );
                stream.write_all(raw.as_bytes()).await.ok()?;
                Some(stream)
            })
        })
        .await;
        let mut client = BufReader::new(TcpStream::connect(engine.address).await.unwrap());
        let calls = [
            (post(tool.address, "/act", "", kind), "exec"),
            (post(tool.address, "/act", "", kind), "replayed"),
            (get(tool.address, "/read", ""), ""),
        ];
        for (call, status) in calls {
            client.write_all(call.as_bytes()).await.unwrap();
            let answer = Answer::read(&mut client).await;
            assert_eq!((answer.status, answer.text()), (200, "0123456789"), "{kind} {answer:?}");
            assert!(answer.status_word().starts_with(status), "{answer:?}");
            assert_ne!(answer.header("content-length"), Some("3"), "{answer:?}");
        }
        assert_eq!(tool.hits(), 2);
    }
}

/// A tool that speaks HTTP/1.0, ends its answer with the connection, and resets that once it is
/// let.
async fn breaking(kind: &'static str, size: usize, go: &Arc<Notify>) -> Upstream {
    let go = Arc::clone(go);
    Upstream::start(move |_, mut stream| {
        let go = Arc::clone(&go);
        Box::pin(async move {
            let head = format!("HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(&vec![b'x'; size]).await.ok()?;
            go.notified().await;
            stream.get_ref().set_zero_linger().ok()?;
            None
        })
    })
    .await
}

#[tokio::test]
async fn what_breaks_off_in_http_1_0_breaks_off_for_the_client() {
    let engine = Engine::start().await;
    let large = store::MAX_KEPT_BODY + 1_000_000;
    for (method, kind, size) in [
        ("POST", "text/event-stream", 20),
        ("POST", "application/octet-stream", large),
        ("GET", "application/octet-stream", 20),
    ] {
        let go = Arc::new(Notify::new());
        let tool = breaking(kind, size, &go).await;
        let request = match method {
            "GET" => get(tool.address, "/", ""),
            _ => post(tool.address, "/", "", "x"),
        };
        let mut client = TcpStream::connect(engine.address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let (mut got, mut come) = (Vec::new(), 0);
        while come < size {
            let before = got.len();
            assert_ne!(client.read_buf(&mut got).await.unwrap(), 0, "{method} {kind}");
            come += got[before..].split(|byte| *byte == b'x').count() - 1;
        }
        go.notify_one();
        let _ = client.read_to_end(&mut got).await;
        let head = String::from_utf8_lossy(&got[..got.len().min(2_000)]).to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
        assert!(!got.ends_with(b"0\r\n\r\n"), "{method} {kind} ended cleanly");
    }
}

/// The client of an empty body has its end with the head, and may act on it.
#[tokio::test]
async fn an_empty_stream_is_held_until_it_is_recorded() {
    let engine = Engine::with(|config| {
        let rule = r#"{"path": "/none", "stream": true}"#;
        config.settings.rules = vec![serde_json::from_str(rule).unwrap()];
    })
    .await;
    for (path, raw) in [
        ("/", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\n"),
        ("/none", "HTTP/1.1 204 No Content\r\n\r\n"),
    ] {
        let tool = Upstream::saying(raw).await;
        let answer = engine.ask(post(tool.address, path, "", "x")).await;
        assert_eq!(answer.status_word(), "executed", "not `executing`: {answer:?}");
        assert_eq!(engine.ask(post(tool.address, path, "", "x")).await.status_word(), "replayed");
    }
}

#[tokio::test]
async fn a_get_with_a_body_of_unknown_length_arrives_with_it() {
    let (engine, tool) = (Engine::start().await, Upstream::echo().await);
    for method in ["GET", "QUERY"] {
        let chunked = "Transfer-Encoding: chunked\r\n";
        let head = get(tool.address, "/find", chunked).replacen("GET", method, 1);
        let answer = engine.ask(head + "5\r\nabcde\r\n0\r\n\r\n").await;
        assert!(answer.text().ends_with("\r\nabcde"), "{method}: {}", answer.text());
    }
    let none = engine.ask(get(tool.address, "/find", "")).await;
    assert!(!none.text().to_lowercase().contains("transfer-encoding"), "{}", none.text());
}

#[tokio::test]
async fn fields_keep_their_order_live_and_stored() {
    const FIELDS: [&str; 6] = [
        "x-first: 1",
        "content-type: text/plain",
        "x-second: 2",
        "etag: \"e\"",
        "x-a: 3",
        "x-z: 4",
    ];
    let engine = Engine::start().await;
    let tool = Upstream::start(|_, mut stream| {
        Box::pin(async move {
            let head = format!(
                "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\n{}\r\nSet-Cookie: a=b\r\n\
                 Transfer-Encoding: chunked\r\n{}\r\n\r\n1\r\nx\r\n0\r\n\r\n",
                FIELDS[..3].join("\r\n"),
                FIELDS[3..].join("\r\n"),
            );
            stream.write_all(head.as_bytes()).await.ok()?;
            Some(stream)
        })
    })
    .await;
    for answer in [
        engine.post(&tool, "", "x").await,
        engine.post(&tool, "", "x").await,
        engine.ask(get(tool.address, "/", "")).await,
    ] {
        let theirs: Vec<String> = answer
            .head
            .lines()
            .map(str::to_lowercase)
            .filter(|line| FIELDS.contains(&line.as_str()))
            .collect();
        assert_eq!(theirs, FIELDS, "{}", answer.head);
    }
}

#[tokio::test]
async fn a_reason_phrase_is_replayed() {
    let engine = Engine::start().await;
    for (raw, line) in [
        ("HTTP/1.1 200 Well Done\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 Well Done"),
        ("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 201 Created"),
    ] {
        let tool = Upstream::saying(raw).await;
        for status in ["executed", "replayed"] {
            let answer = engine.post(&tool, "", "x").await;
            assert_eq!(answer.status_word(), status);
            assert_eq!(answer.head.lines().next(), Some(line));
            assert!(!answer.head.contains("reason"), "{}", answer.head);
        }
    }
}

#[tokio::test]
async fn a_head_under_a_rule_is_replayed_with_its_length_and_without_a_body() {
    let engine = Engine::with(|config| {
        let rule = r#"{"method": "HEAD", "effect": "once"}"#;
        config.settings.rules = vec![serde_json::from_str(rule).unwrap()];
    })
    .await;
    let tool = Upstream::saying("HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n").await;
    let mut client = BufReader::new(TcpStream::connect(engine.address).await.unwrap());
    let head = get(tool.address, "/", "").replacen("GET", "HEAD", 1);
    for status in ["executed", "replayed", "replayed"] {
        client.write_all(head.as_bytes()).await.unwrap();
        // A body would come before the next head.
        let head = crate::support::read_head(&mut client).await;
        let answer = Answer { status: 0, head, body: Vec::new(), whole: true };
        assert!(answer.head.starts_with("HTTP/1.1 200"), "{answer:?}");
        assert_eq!((answer.status_word(), answer.header("content-length")), (status, Some("4096")));
    }
    assert_eq!(tool.hits(), 1);
}

#[tokio::test]
async fn a_replay_comes_in_a_coding_that_the_client_takes() {
    // printf plain | gzip -n
    const ZIPPED: &[u8] = &[
        31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 43, 200, 73, 204, 204, 3, 0, 207, 98, 32, 25, 5, 0, 0, 0,
    ];
    let engine = Engine::start().await;
    let tool = Upstream::start(|_, mut stream| {
        Box::pin(async move {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nETag: \"e\"\r\nContent-Length: {}\r\n\r\n",
                ZIPPED.len()
            );
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(ZIPPED).await.ok()?;
            Some(stream)
        })
    })
    .await;
    for (accept, status, body) in [
        ("gzip", "executed", ZIPPED),
        ("gzip", "replayed", ZIPPED),
        ("identity", "replayed", &b"plain"[..]),
    ] {
        let answer = engine.post(&tool, &format!("Accept-Encoding: {accept}\r\n"), "x").await;
        assert_eq!((answer.status_word(), &answer.body[..]), (status, body), "{answer:?}");
        assert_eq!(answer.header("content-encoding").is_some(), body == ZIPPED);
        assert_eq!(answer.header("etag").unwrap().starts_with("W/"), body != ZIPPED);
    }
    assert_eq!(tool.hits(), 1);
}
