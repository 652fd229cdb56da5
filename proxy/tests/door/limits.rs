//! What is bounded is refused with 503 before anything is sent, and nothing else is disturbed.

use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;

use crate::support::{Answer, Engine, Upstream, post};

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
    let engine = Arc::new(Engine::with(|config| config.max_in_flight = 1).await);
    let (first, at) = (Arc::clone(&engine), tool.address);
    let first = tokio::spawn(async move { first.ask(post(at, "/act", "", "one")).await });
    reached(&tool, 1).await;

    is_queue_full(&engine.post(&tool, "", "two").await);
    assert_eq!(tool.hits(), 1);
    go.add_permits(2);
    assert_eq!(first.await.unwrap().told(), "executed");
    assert_eq!(engine.post(&tool, "", "two").await.told(), "executed");
    assert_eq!(engine.post(&tool, "", "one").await.told(), "replayed");
    assert_eq!(tool.hits(), 2);
}

#[tokio::test]
async fn those_who_wait_are_bounded() {
    let go = Arc::new(Semaphore::new(0));
    let tool = slow(&go).await;
    let engine = Arc::new(Engine::with(|config| config.max_waiters = 1).await);
    let ask = || {
        let (engine, at) = (Arc::clone(&engine), tool.address);
        tokio::spawn(async move { engine.ask(post(at, "/act", "", "one")).await })
    };
    let leader = ask();
    reached(&tool, 1).await;

    // One of the two waits, whichever came first; the other is told at once.
    let (mut one, mut other) = (ask(), ask());
    let (refused, waits) = tokio::select! {
        answer = &mut one => (answer.unwrap(), other),
        answer = &mut other => (answer.unwrap(), one),
    };
    is_queue_full(&refused);
    go.add_permits(1);
    assert_eq!(leader.await.unwrap().told(), "executed");
    assert_eq!(waits.await.unwrap().told(), "coalesced");
    assert_eq!(tool.hits(), 1);
}
