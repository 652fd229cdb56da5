//! Answers that are too large for memory: whichever way they take, they arrive as they were.

use std::time::Duration;

use proxy::Config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Engine, Upstream, get, post};

const MIB: usize = 1 << 20;

fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|at| ((at * 31) >> 7) as u8).collect()
}

/// Answers with as many bytes as the path says, and with trailers if it ends with `t`.
async fn tool() -> Upstream {
    Upstream::start(|seen, mut stream| {
        Box::pin(async move {
            let path = seen.head.split(' ').nth(1)?.trim_start_matches('/');
            let size: usize = path.trim_end_matches('t').parse().ok()?;
            let body = bytes(size);
            if path.ends_with('t') {
                let head =
                    "HTTP/1.1 200 OK\r\nTrailer: X-End\r\nTransfer-Encoding: chunked\r\n\r\n";
                stream.write_all(format!("{head}{size:x}\r\n").as_bytes()).await.ok()?;
                stream.write_all(&body).await.ok()?;
                stream.write_all(b"\r\n0\r\nX-End: yes\r\n\r\n").await.ok()?;
            } else {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.ok()?;
                stream.write_all(&body).await.ok()?;
            }
            Some(stream)
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_much_room_or_little_every_client_gets_every_byte() {
    let ample = |_: &mut Config| {};
    let no_memory = |config: &mut Config| config.limits.max_answers = MIB / 2;
    let little_disk = |config: &mut Config| {
        config.limits.max_answers = MIB / 2;
        config.spool.quota = 16 * MIB as u64;
    };
    let cases: [&dyn Fn(&mut Config); 3] = [&ample, &no_memory, &little_disk];
    for (case, change) in cases.into_iter().enumerate() {
        let (engine, tool) = (Engine::with(change).await, tool().await);
        for size in [64 << 10, (64 << 10) + 1, 200_000, 300_000, 7 * MIB] {
            for path in [format!("/{size}"), format!("/{size}t")] {
                let request = || post(tool.address, &path, "TE: trailers\r\n", "x");
                let all = tokio::join!(
                    engine.ask(request()),
                    engine.ask(request()),
                    engine.ask(request())
                );
                let replayed = engine.ask(request()).await;
                assert_eq!(replayed.status_word(), "replayed", "{case} {path}");
                for answer in [all.0, all.1, all.2, replayed] {
                    assert_eq!((answer.status, answer.whole), (200, true), "{case} {path}");
                    assert!(answer.body == bytes(size), "{case} {path}");
                    let trailer = answer.header("x-end").is_some();
                    assert_eq!(trailer, path.ends_with('t'), "{case} {path} {}", answer.head);
                }
                let passed = engine.ask(get(tool.address, &path, "TE: trailers\r\n")).await;
                assert!(passed.whole && passed.body == bytes(size), "{case} {path}");
            }
        }
        assert_eq!(tool.hits(), 20, "{case}");
    }
}

/// There is one place for a connection: the next client has it once this one is given up.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_is_given_up() {
    let engine = Engine::with(|config| {
        config.limits.max_answers = MIB / 2;
        config.limits.max_connections = 1;
        config.timeouts.body_idle = Duration::from_millis(300);
    })
    .await;
    let tool = tool().await;
    let path = format!("/{}", 8 * MIB);
    let fresh = post(tool.address, &path, "", "x");
    let replayed = fresh.clone();
    let passed = get(tool.address, &format!("/{}", 64 * MIB), "");
    for request in [fresh, replayed, passed] {
        let mut client = TcpStream::connect(engine.address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        client.readable().await.unwrap();
        let next = engine.ask(get(tool.address, "/5", "Connection: close\r\n"));
        let next = timeout(Duration::from_secs(60), next).await.unwrap();
        assert_eq!((next.status, &next.body[..]), (200, &bytes(5)[..]));
        let mut got = Vec::new();
        let ended = client.read_to_end(&mut got).await;
        assert!(ended.is_err() || got.len() < 8 * MIB, "{} bytes came", got.len());
    }
}
