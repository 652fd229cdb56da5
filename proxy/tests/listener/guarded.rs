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
    assert_eq!((first.status, first.text(), first.status_word()), (201, "done", "executed"));
    assert!(first.header("set-cookie").is_some());
    assert!(first.header("idempotency-key").unwrap().starts_with("auto:POST127.0.0.1:"));

    let second = engine.post(&tool, "", "pay 5").await;
    assert_eq!((second.status, second.text(), second.status_word()), (201, "done", "replayed"));
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    assert_eq!(second.header("set-cookie"), None);
    assert!(second.header("idempotency-status").unwrap().ends_with("omitted=set-cookie"));
    assert_eq!(second.header("x-tool"), Some("yes"));
    for same in ["agent-execution-id", "idempotency-key", "date"] {
        assert_eq!(first.header(same), second.header(same), "{same}");
    }
    assert_eq!(tool.hits(), 1);

    assert_eq!(engine.post(&tool, "", "pay 6").await.status_word(), "executed");
    assert_eq!(engine.post(&tool, "Agent-Repeat: 2\r\n", "pay 5").await.status_word(), "executed");
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
        words.push(answer.status_word().to_owned());
    }
    assert_eq!(tool.hits(), 1);
    assert_eq!(words.iter().filter(|word| *word == "executed").count(), 1);
}

#[tokio::test]
async fn an_explicit_key_belongs_to_one_input() {
    let (engine, tool) = (Engine::start().await, Upstream::saying(OK).await);
    let key = "Idempotency-Key: \"k-1\"\r\n";
    assert_eq!(engine.post(&tool, key, "a").await.status_word(), "executed");
    let again = engine.post(&tool, key, "a").await;
    assert_eq!((again.status_word(), again.header("idempotency-key")), ("replayed", Some("k-1")));
    let other = engine.post(&tool, key, "b").await;
    assert_eq!((other.status, other.status_word()), (422, "key-reuse"));
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
        assert_eq!(
            (answer.status, answer.text(), answer.status_word()),
            (404, "no", "not-executed")
        );
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
    assert_eq!((first.status, first.text(), first.status_word()), (500, "oops", "in-doubt"));
    assert_eq!(first.header("x-should-retry"), Some("false"));
    assert!(first.header("idempotency-retry-token").is_some());

    let held = engine.post(&tool, "", "pay").await;
    assert_eq!((held.status, held.status_word()), (424, "in-doubt"));
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
    assert_eq!((released.status, released.status_word()), (201, "executed"));
    assert!(released.header("idempotency-status").unwrap().contains("attempt=2"));
    assert_eq!(engine.post(&tool, "", "pay").await.status_word(), "replayed");
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
    assert_eq!((first.status, first.status_word()), (502, "in-doubt"));
    assert_eq!(first.json()["sent"], "maybe");
    let token = first.header("idempotency-retry-token").unwrap();
    let retry = format!("Idempotency-Retry-Token: {token}\r\n");
    assert_eq!(engine.post(&tool, &retry, "pay").await.status_word(), "executed");
    assert_eq!(engine.post(&tool, &retry, "pay").await.status_word(), "replayed");
    assert_eq!(tool.hits(), 2);
}

#[tokio::test]
async fn a_refused_connection_is_not_executed() {
    let engine = Engine::start().await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for attempt in ["attempt=1", "attempt=2"] {
        let answer = engine.ask(post(closed, "/", "", "x")).await;
        assert_eq!((answer.status, answer.status_word()), (502, "not-executed"));
        assert_eq!(answer.json()["sent"], "never");
        assert!(answer.header("idempotency-status").unwrap().contains(attempt));
    }
}

#[tokio::test]
async fn those_who_wait_for_a_refused_call_get_the_same_answer() {
    let engine = Arc::new(Engine::with(|config| config.access.refuse_loopback = true).await);
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
        assert_eq!((answer.status, answer.status_word()), (403, ""), "{}", answer.head);
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
    assert_eq!((answer.status, answer.status_word()), (408, "not-executed"));
    assert_eq!(tool.hits(), 0);
}

#[tokio::test]
async fn a_follower_that_waits_too_long_gets_in_progress() {
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
    assert_eq!((answer.status, answer.status_word()), (409, "in-progress"));
    assert!(answer.header("retry-after").is_some());
    leading.abort();
}

#[tokio::test]
async fn puts_run_each_time() {
    let (engine, tool) = (Engine::start().await, Upstream::saying(OK).await);
    let put = post(tool.address, "/item", "", "v").replacen("POST", "PUT", 1);
    for _ in 0..2 {
        assert_eq!(engine.ask(&put).await.status_word(), "executed");
    }
    let keyed = put.replacen("Host:", "Idempotency-Key: p\r\nHost:", 1);
    assert_eq!(engine.ask(&keyed).await.status_word(), "executed");
    assert_eq!(engine.ask(&keyed).await.status_word(), "replayed");
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
    assert!(!engine.task.is_finished());
    go.notify_one();
    assert_eq!(Answer::read(&mut client).await.status, 201);
    engine.task.await.unwrap();
    assert!(TcpStream::connect(engine.address).await.is_err());
}
