//! What is bounded is refused with 503 before anything is sent, and nothing else is disturbed.

use std::sync::Arc;

use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::support::{Answer, Engine, Upstream, get, post};

/// A tool that answers when it is let.
async fn slow(go: &Arc<Semaphore>) -> Upstream {
    let go = Arc::clone(go);
    Upstream::start(move |_, mut stream| {
        let go = Arc::clone(&go);
        Box::pin(async move {
            go.acquire().await.ok()?.forget();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await.ok()?;
            Some(stream)
        })
    })
    .await
}

async fn reached(tool: &Upstream, hits: usize) {
    while tool.hits() < hits {
        tokio::task::yield_now().await;
    }
}

fn is_queue_full(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.head);
    assert_eq!(answer.json()["type"], "urn:openclaw-state-engine:queue-full");
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn calls_in_flight_are_bounded() {
    let go = Arc::new(Semaphore::new(0));
    let tool = slow(&go).await;
    let engine = Arc::new(Engine::with(|config| config.limits.max_in_flight = 1).await);
    let (first, at) = (Arc::clone(&engine), tool.address);
    let first = tokio::spawn(async move { first.ask(post(at, "/act", "", "one")).await });
    reached(&tool, 1).await;

    is_queue_full(&engine.post(&tool, "", "two").await);
    assert_eq!(tool.hits(), 1);
    go.add_permits(2);
    assert_eq!(first.await.unwrap().status_word(), "executed");
    assert_eq!(engine.post(&tool, "", "two").await.status_word(), "executed");
    assert_eq!(engine.post(&tool, "", "one").await.status_word(), "replayed");
    assert_eq!(tool.hits(), 2);
}

#[tokio::test]
async fn those_who_wait_are_bounded() {
    let go = Arc::new(Semaphore::new(0));
    let tool = slow(&go).await;
    let engine = Arc::new(Engine::with(|config| config.limits.max_waiters = 1).await);
    let ask = || {
        let (engine, at) = (Arc::clone(&engine), tool.address);
        tokio::spawn(async move { engine.ask(post(at, "/act", "", "one")).await })
    };
    let leader = ask();
    reached(&tool, 1).await;

    // One of the two waits, whichever came first; the other is refused at once.
    let (mut one, mut other) = (ask(), ask());
    let (refused, waits) = tokio::select! {
        answer = &mut one => (answer.unwrap(), other),
        answer = &mut other => (answer.unwrap(), one),
    };
    is_queue_full(&refused);
    go.add_permits(1);
    assert_eq!(leader.await.unwrap().status_word(), "executed");
    assert_eq!(waits.await.unwrap().status_word(), "coalesced");
    assert_eq!(tool.hits(), 1);
}

#[tokio::test]
async fn connections_are_bounded_and_further_ones_wait() {
    let tool = Upstream::echo().await;
    let engine = Engine::with(|config| config.limits.max_connections = 1).await;
    let connect = async || BufReader::new(TcpStream::connect(engine.address).await.unwrap());
    let ask = get(tool.address, "/", "");
    let (mut first, mut second) = (connect().await, connect().await);
    second.write_all(ask.as_bytes()).await.unwrap();
    for number in ["1", "2"] {
        first.write_all(ask.as_bytes()).await.unwrap();
        assert_eq!(Answer::read(&mut first).await.header("x-number"), Some(number));
    }
    drop(first);
    assert_eq!(Answer::read(&mut second).await.header("x-number"), Some("3"));
}

/// A tunnel is a connection as long as it lasts.
#[tokio::test]
async fn a_tunnel_keeps_its_place() {
    let tool = Upstream::echo().await;
    let engine = Engine::with(|config| config.limits.max_connections = 1).await;
    let host = tool.address;
    let mut tunnel = BufReader::new(TcpStream::connect(engine.address).await.unwrap());
    let connect = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    tunnel.write_all(connect.as_bytes()).await.unwrap();
    assert!(crate::support::read_head(&mut tunnel).await.starts_with("HTTP/1.1 200"));
    let mut other = BufReader::new(TcpStream::connect(engine.address).await.unwrap());
    other.write_all(get(host, "/", "").as_bytes()).await.unwrap();
    for number in ["1", "2"] {
        let inside = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        tunnel.write_all(inside.as_bytes()).await.unwrap();
        assert_eq!(Answer::read(&mut tunnel).await.header("x-number"), Some(number));
    }
    drop(tunnel);
    assert_eq!(Answer::read(&mut other).await.header("x-number"), Some("3"));
}

#[tokio::test]
async fn bodies_that_come_in_are_bounded() {
    let tool = Upstream::echo().await;
    let engine = Engine::with(|config| config.limits.max_unread = 200_000).await;
    let body = "b".repeat(150_000);
    let raw = post(tool.address, "/act", "", &body);
    let (begun, rest) = raw.split_at(raw.len() - 10_000);
    let mut slow = BufReader::new(TcpStream::connect(engine.address).await.unwrap());
    slow.write_all(begun.as_bytes()).await.unwrap();
    // Refused as soon as the other has taken its share; small ones never are.
    for n in 0.. {
        let answer = engine.post(&tool, "", &format!("{n}{body}")).await;
        if answer.status == 503 {
            is_queue_full(&answer);
            break;
        }
    }
    assert_eq!(engine.post(&tool, "", "small").await.status_word(), "executed");
    slow.write_all(rest.as_bytes()).await.unwrap();
    assert_eq!(Answer::read(&mut slow).await.status_word(), "executed");
    assert_eq!(engine.post(&tool, "", &format!("again{body}")).await.status_word(), "executed");
    assert_eq!(engine.post(&tool, "", &body).await.status_word(), "replayed");
}

#[tokio::test]
async fn bodies_on_disk_are_bounded() {
    let tool = Upstream::echo().await;
    let engine = Engine::with(|config| config.spool.quota = 300_000).await;
    // Up to 256 KiB of it may be in memory, as the pieces come.
    let refused = engine.post(&tool, "", &"b".repeat(600_000)).await;
    assert_eq!((refused.status, refused.status_word()), (507, "not-executed"), "{}", refused.head);
    assert_eq!(refused.json()["type"], "urn:openclaw-state-engine:store-full");
    assert_eq!(tool.hits(), 0);
    // What was refused has given its room back.
    assert_eq!(engine.post(&tool, "", &"b".repeat(290_000)).await.status_word(), "executed");
}
