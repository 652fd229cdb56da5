//! Guarded calls: each acts once, and every caller gets the same answer.

use std::sync::Arc;
use std::time::Duration;

use proxy::Timeouts;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::{Answer, Engine, Upstream, post};

const OK: &str =
    "HTTP/1.1 201 Created\r\nX-Tool: yes\r\nSet-Cookie: s=1\r\nContent-Length: 4\r\n\r\ndone";

#[tokio::test]
async fn a_repeat_is_answered_from_the_store() {
    let (engine, tool) = (Engine::start().await, Upstream::saying(OK).await);
    let first = engine.post(&tool, "", "pay 5").await;
    assert_eq!((first.status, first.text(), first.told()), (201, "done", "executed"));
    assert!(first.header("set-cookie").is_some());
    assert!(first.header("idempotency-key").unwrap().starts_with("auto:POST127.0.0.1:"));

    let second = engine.post(&tool, "", "pay 5").await;
    assert_eq!((second.status, second.text(), second.told()), (201, "done", "replayed"));
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    assert_eq!(second.header("set-cookie"), None);
    assert!(second.header("idempotency-status").unwrap().ends_with("omitted=set-cookie"));
    assert_eq!(second.header("x-tool"), Some("yes"));
    for same in ["agent-execution-id", "idempotency-key", "date"] {
        assert_eq!(first.header(same), second.header(same), "{same}");
    }
    assert_eq!(tool.hits(), 1);

    assert_eq!(engine.post(&tool, "", "pay 6").await.told(), "executed");
    assert_eq!(engine.post(&tool, "Agent-Repeat: 2\r\n", "pay 5").await.told(), "executed");
    assert_eq!(tool.hits(), 3);
}

#[tokio::test]
async fn a_hundred_at_once_act_once() {
    let engine = Arc::new(Engine::start().await);
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let tool = Upstream::start(move |_, mut stream| {
        let wait = Arc::clone(&wait);
        Box::pin(async move {
            wait.notified().await;
            stream.write_all(OK.as_bytes()).await.ok()?;
            Some(stream)
        })
    })
    .await;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (engine, raw) = (Arc::clone(&engine), post(tool.address, "/act", "", "once"));
            tokio::spawn(async move { engine.ask(raw).await })
        })
        .collect();
    while tool.hits() == 0 {
        tokio::task::yield_now().await;
    }
    go.notify_one();
    let mut words = Vec::new();
    for call in calls {
        let answer = call.await.unwrap();
        assert_eq!((answer.status, answer.text()), (201, "done"));
        words.push(answer.told().to_owned());
    }
    assert_eq!(tool.hits(), 1);
    assert_eq!(words.iter().filter(|word| *word == "executed").count(), 1);
}

#[tokio::test]
async fn an_explicit_key_belongs_to_one_input() {
    let (engine, tool) = (Engine::start().await, Upstream::saying(OK).await);
    let key = "Idempotency-Key: \"k-1\"\r\n";
    assert_eq!(engine.post(&tool, key, "a").await.told(), "executed");
    let again = engine.post(&tool, key, "a").await;
    assert_eq!((again.told(), again.header("idempotency-key")), ("replayed", Some("k-1")));
    let other = engine.post(&tool, key, "b").await;
    assert_eq!((other.status, other.told()), (422, "key-reuse"));
    assert_eq!(other.json()["type"], "urn:openclaw-state-engine:key-reuse");
    let bad = engine.post(&tool, "Idempotency-Key: a\r\nIdempotency-Key: b\r\n", "a").await;
    assert_eq!(bad.status, 400);
    assert_eq!(tool.hits(), 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_stops_nothing() {
    let engine = Engine::start().await;
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let tool = Upstream::start(move |_, mut stream| {
        let wait = Arc::clone(&wait);
        Box::pin(async move {
            wait.notified().await;
            stream.write_all(OK.as_bytes()).await.ok()?;
            Some(stream)
        })
    })
    .await;
    let mut client = TcpStream::connect(engine.address).await.unwrap();
    client.write_all(post(tool.address, "/act", "", "once").as_bytes()).await.unwrap();
    while tool.hits() == 0 {
        tokio::task::yield_now().await;
    }
    // A reset, so that the proxy does not take it for a client that only shut its write side.
    client.set_zero_linger().unwrap();
    drop(client);
    go.notify_one();
    let retry = engine.post(&tool, "", "once").await;
    assert_eq!((retry.status, retry.text()), (201, "done"));
    assert_eq!(tool.hits(), 1);
}

#[tokio::test]
async fn a_refusal_is_passed_on_and_may_be_tried_again() {
    let engine = Engine::start().await;
    let tool = Upstream::saying("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno").await;
    for attempt in 1..=2 {
        let answer = engine.post(&tool, "", "x").await;
        assert_eq!((answer.status, answer.text(), answer.told()), (404, "no", "not-executed"));
        let status = answer.header("idempotency-status").unwrap();
        assert!(status.contains(&format!("attempt={attempt}")), "{status}");
    }
    assert_eq!(tool.hits(), 2);
}

#[tokio::test]
async fn an_unknown_outcome_is_held_until_it_is_released() {
    let engine = Engine::start().await;
    let tool = Upstream::start(move |seen, mut stream| {
        Box::pin(async move {
            let raw = if seen.number == 1 {
                "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"
            } else {
                OK
            };
            stream.write_all(raw.as_bytes()).await.ok()?;
            Some(stream)
        })
    })
    .await;
    let first = engine.post(&tool, "", "pay").await;
    assert_eq!((first.status, first.text(), first.told()), (500, "oops", "in-doubt"));
    assert_eq!(first.header("x-should-retry"), Some("false"));
    assert!(first.header("idempotency-retry-token").is_some());

    let held = engine.post(&tool, "", "pay").await;
    assert_eq!((held.status, held.told()), (424, "in-doubt"));
    assert_eq!(held.header("stripe-should-retry"), Some("false"));
    let problem = held.json();
    assert_eq!(problem["execution_id"].as_str(), first.header("agent-execution-id"));
    assert!(problem["sent_at"].is_string() && problem["last_event"].is_string());
    let other_key = engine.post(&tool, "Idempotency-Key: fresh\r\n", "pay").await;
    assert_eq!(other_key.status, 424);
    assert!(other_key.header("idempotency-status").unwrap().contains("reason=same-content"));
    assert_eq!(tool.hits(), 1);

    let url = problem["confirm_url"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{}", engine.address)).unwrap();
    let host = engine.address;
    for confirm in [
        format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"),
        format!("POST {url} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let confirmed = engine.ask(confirm).await;
        assert_eq!(confirmed.status, 200, "{confirmed:?}");
    }
    let released = engine.post(&tool, "", "pay").await;
    assert_eq!((released.status, released.told()), (201, "executed"));
    assert!(released.header("idempotency-status").unwrap().contains("attempt=2"));
    assert_eq!(engine.post(&tool, "", "pay").await.told(), "replayed");
    assert_eq!(tool.hits(), 2);
}

#[tokio::test]
async fn a_retry_token_in_a_header_runs_one_more_attempt() {
    let engine = Engine::start().await;
    let tool = Upstream::start(move |seen, mut stream| {
        Box::pin(async move {
            if seen.number == 1 {
                return None;
            }
            assert_eq!(seen.header("idempotency-retry-token"), None);
            stream.write_all(OK.as_bytes()).await.ok()?;
            Some(stream)
        })
    })
    .await;
    let first = engine.post(&tool, "", "pay").await;
    assert_eq!((first.status, first.told()), (502, "in-doubt"));
    assert_eq!(first.json()["sent"], "maybe");
    let token = first.header("idempotency-retry-token").unwrap();
    let retry = format!("Idempotency-Retry-Token: {token}\r\n");
    assert_eq!(engine.post(&tool, &retry, "pay").await.told(), "executed");
    assert_eq!(engine.post(&tool, &retry, "pay").await.told(), "replayed");
    assert_eq!(tool.hits(), 2);
}

#[tokio::test]
async fn a_refused_connection_is_not_executed() {
    let engine = Engine::start().await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for attempt in ["attempt=1", "attempt=2"] {
        let answer = engine.ask(post(closed, "/", "", "x")).await;
        assert_eq!((answer.status, answer.told()), (502, "not-executed"));
        assert_eq!(answer.json()["sent"], "never");
        assert!(answer.header("idempotency-status").unwrap().contains(attempt));
    }
}

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
    assert_eq!((first.status, first.told()), (502, "in-doubt"));
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
    assert_eq!((replay.told(), replay.text()), ("replayed", "data: a\n\ndata: b\n\n"));
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
async fn an_answer_over_the_limit_flows_and_is_told_by_digest_later() {
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
    let engine = Engine::with(|config| config.max_request = 2_000_000).await;
    let tool = Upstream::echo().await;
    let body = "y".repeat(1_500_000);
    let first = engine.post(&tool, "", &body).await;
    assert_eq!((first.status, first.told()), (200, "executed"));
    assert!(first.body.ends_with(body.as_bytes()));
    assert_eq!(engine.post(&tool, "", &body).await.told(), "replayed");
    let refused = engine.post(&tool, "", &"y".repeat(2_000_001)).await;
    assert_eq!((refused.status, refused.told()), (413, "not-executed"));
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
    for (tenant, told) in [("a", "executed"), ("b", "executed"), ("a", "replayed")] {
        let answer = engine.post(&tool, &format!("Agent-Tenant: {tenant}\r\n"), "x").await;
        assert_eq!(answer.told(), told);
        assert!(answer.text().contains(&format!("Agent-Tenant: {tenant}")), "{}", answer.text());
    }
}

/// That a name leads to where the proxy does not connect is known only when it is dialled.
#[tokio::test]
async fn those_who_wait_for_a_call_that_is_refused_are_told_the_same() {
    let engine = Arc::new(Engine::with(|config| config.refuse_loopback = true).await);
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let engine = Arc::clone(&engine);
            let raw = "POST http://localhost:9/ HTTP/1.1\r\nHost: localhost:9\r\n\
                       Content-Length: 1\r\n\r\nx";
            tokio::spawn(async move { engine.ask(raw).await })
        })
        .collect();
    for call in calls {
        let answer = call.await.unwrap();
        assert_eq!((answer.status, answer.told()), (403, ""), "{}", answer.head);
        assert_eq!(answer.json()["type"], "urn:openclaw-state-engine:refused");
    }
}

#[tokio::test]
async fn a_stalled_body_is_given_up() {
    let timeouts = Timeouts { body_stall: Duration::from_millis(50), ..Timeouts::default() };
    let engine = Engine::with(|config| config.timeouts = timeouts).await;
    let tool = Upstream::saying(OK).await;
    let raw = post(tool.address, "/act", "", "whole");
    let answer = engine.ask(&raw[..raw.len() - 1]).await;
    assert_eq!((answer.status, answer.told()), (408, "not-executed"));
    assert_eq!(tool.hits(), 0);
}

#[tokio::test]
async fn a_follower_that_waits_too_long_is_told_so() {
    let timeouts = Timeouts { max_wait: Duration::from_millis(50), ..Timeouts::default() };
    let engine = Arc::new(Engine::with(|config| config.timeouts = timeouts).await);
    let tool = Upstream::start(move |_, stream| {
        Box::pin(async move {
            std::future::pending::<()>().await;
            Some(stream)
        })
    })
    .await;
    let (leader, raw) = (Arc::clone(&engine), post(tool.address, "/act", "", "x"));
    let leading = tokio::spawn(async move { leader.ask(raw).await });
    while tool.hits() == 0 {
        tokio::task::yield_now().await;
    }
    let answer = engine.post(&tool, "", "x").await;
    assert_eq!((answer.status, answer.told()), (409, "in-progress"));
    assert!(answer.header("retry-after").is_some());
    leading.abort();
}

#[tokio::test]
async fn puts_run_each_time() {
    let (engine, tool) = (Engine::start().await, Upstream::saying(OK).await);
    let put = post(tool.address, "/item", "", "v").replacen("POST", "PUT", 1);
    for _ in 0..2 {
        assert_eq!(engine.ask(&put).await.told(), "executed");
    }
    let keyed = put.replacen("Host:", "Idempotency-Key: p\r\nHost:", 1);
    assert_eq!(engine.ask(&keyed).await.told(), "executed");
    assert_eq!(engine.ask(&keyed).await.told(), "replayed");
    assert_eq!(tool.hits(), 3);
}

#[tokio::test]
async fn a_drain_lets_calls_end() {
    let engine = Engine::start().await;
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let tool = Upstream::start(move |_, mut stream| {
        let wait = Arc::clone(&wait);
        Box::pin(async move {
            wait.notified().await;
            stream.write_all(OK.as_bytes()).await.ok()?;
            Some(stream)
        })
    })
    .await;
    let mut client = BufReader::new(TcpStream::connect(engine.address).await.unwrap());
    client.write_all(post(tool.address, "/act", "", "x").as_bytes()).await.unwrap();
    let mut idle = TcpStream::connect(engine.address).await.unwrap();
    while tool.hits() == 0 {
        tokio::task::yield_now().await;
    }
    engine.shutdown.cancel();
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    assert!(!engine.serving.is_finished());
    go.notify_one();
    assert_eq!(Answer::read(&mut client).await.status, 201);
    engine.serving.await.unwrap();
    assert!(TcpStream::connect(engine.address).await.is_err());
}

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
