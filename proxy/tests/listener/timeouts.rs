//! What takes too long: tools that are silent, and clients that take nothing.

use std::sync::Arc;
use std::time::Duration;

use proxy::Timeouts;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::support::{Answer, Engine, Upstream, get, post};

async fn engine(timeouts: Timeouts) -> Engine {
    Engine::with(|config| config.timeouts = timeouts).await
}

/// A tool that says this much and then nothing more.
async fn silent(raw: &'static str) -> Upstream {
    Upstream::start(move |_, mut stream| {
        Box::pin(async move {
            stream.write_all(raw.as_bytes()).await.ok()?;
            std::future::pending::<()>().await;
            Some(stream)
        })
    })
    .await
}

fn is_timeout(answer: &Answer) {
    assert_eq!(answer.status, 504, "{}", answer.head);
    let problem = answer.json();
    assert_eq!(problem["type"], "urn:openclaw-state-engine:upstream-timeout");
    assert_eq!(problem["sent"], "maybe");
    assert!(answer.header("proxy-status").unwrap().ends_with("error=http_response_timeout"));
}

#[tokio::test]
async fn a_tool_that_falls_silent_is_given_up_and_the_call_is_in_doubt() {
    let short = Duration::from_millis(50);
    let no_head = Timeouts { silence: short, ..Timeouts::default() };
    let no_body = Timeouts { silence: short, ..Timeouts::default() };
    for (timeouts, raw) in
        [(no_head, ""), (no_body, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")]
    {
        let (engine, tool) = (engine(timeouts).await, silent(raw).await);
        let first = engine.post(&tool, "", "x").await;
        is_timeout(&first);
        assert_eq!(first.status_word(), "in-doubt");
        let second = engine.post(&tool, "", "x").await;
        assert_eq!((second.status, second.status_word()), (424, "in-doubt"));
        assert_eq!(tool.hits(), 1);
        let read = engine.ask(get(tool.address, "/", "")).await;
        if raw.is_empty() {
            is_timeout(&read);
        } else {
            assert_eq!((read.status, read.whole), (200, false));
        }
    }
}

/// Only who hangs up has left. One that is slow may be let go of, and the call goes on.
#[tokio::test]
async fn a_client_that_is_only_slow_cancels_nothing() {
    const SIZE: usize = 32 * 1024 * 1024;
    let timeouts = Timeouts { body_stall: Duration::from_millis(50), ..Timeouts::default() };
    let engine = Engine::with(|config| {
        config.timeouts = timeouts;
        let rule = r#"{"propagate_cancel": true}"#;
        config.settings.rules = vec![serde_json::from_str(rule).unwrap()];
    })
    .await;
    let done = Arc::new(Notify::new());
    let notify = Arc::clone(&done);
    let tool = Upstream::start(move |_, mut stream| {
        let notify = Arc::clone(&notify);
        Box::pin(async move {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {SIZE}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.ok()?;
            // More than the sockets on the way hold: that it is taken means that the client was let
            // go of. A call that is cancelled then loses its connection.
            let _ = stream.write_all(&vec![b'x'; SIZE - 1]).await;
            let cancelled = timeout(Duration::from_millis(300), stream.read_u8()).await;
            let ended = stream.write_all(b"x").await;
            notify.notify_one();
            (cancelled.is_err() && ended.is_ok()).then_some(stream)
        })
    })
    .await;
    let mut client = TcpStream::connect(engine.address).await.unwrap();
    client.write_all(post(tool.address, "/act", "", "x").as_bytes()).await.unwrap();
    done.notified().await;
    let again = engine.post(&tool, "", "x").await;
    assert_eq!(again.status, 410, "it took effect, and is too large to be kept: {}", again.head);
    assert_eq!(tool.hits(), 1);
    let mut got = Vec::new();
    let _ = client.read_to_end(&mut got).await;
    assert!(got.len() < SIZE, "it was let go of");
}
