//! The messages of guarded calls: streams, large bodies, trailers, and the fields that pass.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::{Answer, Engine, Upstream, post};

#[tokio::test]
async fn a_truncated_answer_is_no_answer() {
    let engine = Engine::start().await;
    let tool = Upstream::start(move |_, mut stream| {
        Box::pin(async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.ok()?;
            None
        })
    })
    .await;
    let first = engine.post(&tool, "", "x").await;
    assert_eq!((first.status, first.status_word()), (502, "in-doubt"));
    assert_eq!(engine.post(&tool, "", "x").await.status, 424);
    assert_eq!(tool.hits(), 1);
}

#[tokio::test]
async fn a_stream_flows_and_its_end_waits_for_the_commit() {
    let engine = Engine::start().await;
    let (go, wait) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let gate = Arc::clone(&wait);
    let tool = Upstream::start(move |_, mut stream| {
        let gate = Arc::clone(&gate);
        Box::pin(async move {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(b"9\r\ndata: a\n\n\r\n").await.ok()?;
            gate.notified().await;
            stream.write_all(b"9\r\ndata: b\n\n\r\n0\r\n\r\n").await.ok()?;
            Some(stream)
        })
    })
    .await;
    let mut client = TcpStream::connect(engine.address).await.unwrap();
    client.write_all(post(tool.address, "/act", "", "x").as_bytes()).await.unwrap();
    let mut begun = Vec::new();
    while !String::from_utf8_lossy(&begun).contains("data: a") {
        assert_ne!(client.read_buf(&mut begun).await.unwrap(), 0);
    }
    assert!(String::from_utf8_lossy(&begun).contains("executing"));
    go.notify_one();
    wait.notify_one();
    while !begun.ends_with(b"0\r\n\r\n") {
        assert_ne!(client.read_buf(&mut begun).await.unwrap(), 0);
    }
    let replay = engine.post(&tool, "", "x").await;
    assert_eq!((replay.status_word(), replay.text()), ("replayed", "data: a\n\ndata: b\n\n"));
    assert_eq!(tool.hits(), 1);
}

#[tokio::test]
async fn a_broken_stream_ends_broken_and_in_doubt() {
    let engine = Engine::start().await;
    let tool = Upstream::start(move |_, mut stream| {
        Box::pin(async move {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(b"9\r\ndata: a\n\n\r\n").await.ok()?;
            None
        })
    })
    .await;
    let first = engine.post(&tool, "", "x").await;
    assert_eq!((first.status, first.whole), (200, false));
    assert_eq!(engine.post(&tool, "", "x").await.status, 424);
}

#[tokio::test]
async fn an_answer_over_the_limit_flows_and_is_known_by_digest_later() {
    let engine = Engine::start().await;
    let size = store::MAX_KEPT_BODY + 100_000;
    let tool = Upstream::start(move |_, mut stream| {
        Box::pin(async move {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(&vec![b'x'; size]).await.ok()?;
            Some(stream)
        })
    })
    .await;
    let first = engine.post(&tool, "", "x").await;
    assert_eq!((first.status, first.whole, first.body.len()), (200, true, size));
    assert!(first.body.iter().all(|byte| *byte == b'x'));
    let second = engine.post(&tool, "", "x").await;
    assert_eq!(second.status, 410);
    assert_eq!(second.json()["type"], "urn:openclaw-state-engine:response-not-kept");
    assert_eq!(second.json()["size"], size);
    assert_eq!(tool.hits(), 1);
}

#[tokio::test]
async fn large_requests_are_spooled_and_limited() {
    let engine = Engine::with(|config| config.limits.max_request = 2_000_000).await;
    let tool = Upstream::echo().await;
    let body = "y".repeat(1_500_000);
    let first = engine.post(&tool, "", &body).await;
    assert_eq!((first.status, first.status_word()), (200, "executed"));
    assert!(first.body.ends_with(body.as_bytes()));
    assert_eq!(engine.post(&tool, "", &body).await.status_word(), "replayed");
    let refused = engine.post(&tool, "", &"y".repeat(2_000_001)).await;
    assert_eq!((refused.status, refused.status_word()), (413, "not-executed"));
    assert_eq!(tool.hits(), 1);
    let left: Vec<_> = std::fs::read_dir(engine.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| !name.to_string_lossy().starts_with("state.db"))
        .collect();
    assert_eq!(left, Vec::<std::ffi::OsString>::new());
}

#[tokio::test]
async fn the_tool_sees_none_of_ours() {
    let (engine, tool) = (Engine::start().await, Upstream::echo().await);
    let headers = "Agent-Session: s\r\nAgent-Run: r\r\nProxy-Authorization: Basic czpw\r\n\
                   Connection: X-Hop\r\nX-Hop: 1\r\nX-CaSe: 1\r\nExpect: 100-continue\r\n";
    let mut client = BufReader::new(TcpStream::connect(engine.address).await.unwrap());
    let raw = post(tool.address, "/act", headers, "x");
    client.write_all(raw.as_bytes()).await.unwrap();
    assert_eq!(Answer::read(&mut client).await.status, 100);
    let answer = Answer::read(&mut client).await;
    let seen = answer.text().to_owned();
    for absent in ["Agent-", "Proxy-", "X-Hop", "Expect"] {
        assert!(!seen.contains(absent), "{absent}: {seen}");
    }
    assert!(seen.contains("X-CaSe: 1") && seen.contains("Via: 1.1 ose-"), "{seen}");
    assert!(seen.starts_with("POST /act HTTP/1.1\r\n"), "{seen}");
}

#[tokio::test]
async fn a_field_of_the_tools_own_that_is_named_like_ours_reaches_it_and_counts() {
    let (engine, tool) = (Engine::start().await, Upstream::echo().await);
    for (tenant, status) in [("a", "executed"), ("b", "executed"), ("a", "replayed")] {
        let answer = engine.post(&tool, &format!("Agent-Tenant: {tenant}\r\n"), "x").await;
        assert_eq!(answer.status_word(), status);
        assert!(answer.text().contains(&format!("Agent-Tenant: {tenant}")), "{}", answer.text());
    }
}

/// That a name leads to where the proxy does not connect is known only when it is dialled.
#[tokio::test]
async fn trailers_are_kept_for_who_takes_them() {
    let engine = Engine::start().await;
    let tool = Upstream::saying(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         4\r\ndata\r\n0\r\nX-Sum: 7\r\n\r\n",
    )
    .await;
    for (te, want) in [("TE: trailers\r\n", Some("7")), ("", None), ("TE: trailers\r\n", Some("7"))]
    {
        let answer = engine.post(&tool, te, "x").await;
        assert_eq!((answer.text(), answer.header("x-sum")), ("data", want));
    }
    assert_eq!(tool.hits(), 1);
}

#[tokio::test]
async fn a_request_with_trailers_arrives_with_them() {
    let (engine, tool) = (Engine::start().await, Upstream::echo().await);
    let host = tool.address;
    let raw = format!(
        "POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\
         Trailer: X-Sum\r\n\r\n4\r\ndata\r\n0\r\nX-Sum: 7\r\n\r\n"
    );
    let answer = engine.ask(raw).await;
    assert!(answer.text().to_lowercase().contains("x-sum: 7"), "{}", answer.text());
    assert!(answer.text().ends_with("data"), "{}", answer.text());
}
