//! Memory and disk stay within bounds, measured by what the kernel counts for the process.
#![expect(clippy::print_stdout, reason = "it reports what it counted")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use testkit::{
    Client, Engine, Foreign, Framing, Gate, Request, Upstream, engine, files, wait_until,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const MINUTE: Duration = Duration::from_mins(1);

/// Resident memory in MiB.
fn resident(engine: &Engine) -> u64 {
    engine.memory_kib("VmRSS") / KIB
}

/// Reads requests whole without keeping them, waits for the gate, answers.
fn discarding(gate: &Gate) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let hits = Arc::new(AtomicUsize::new(0));
    let (gate, count) = (gate.clone(), Arc::clone(&hits));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (gate, count) = (gate.clone(), Arc::clone(&count));
            thread::spawn(move || {
                let mut wire = testkit::Wire::new(stream);
                while let Ok(Some(head)) = wire.read_head() {
                    let mut framing = Framing::of(&head, Framing::Done);
                    while let Ok(Some(_)) = wire.read_piece(&mut framing) {}
                    count.fetch_add(1, Ordering::SeqCst);
                    gate.wait();
                    let _ = wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            });
        }
    });
    (addr, hits)
}

#[test]
fn an_idle_engine_is_small() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    engine.post(&upstream.url("/"), "x").assert_is(200, "executed");
    thread::sleep(Duration::from_millis(500));
    let anonymous = engine.memory_kib("RssAnon") / KIB;
    println!("idle: {} MiB, of which {anonymous} MiB are not mapped files", resident(&engine));
    // In a debug build the mapped program file has many MiB. A release build counts all of it.
    let counted = if cfg!(debug_assertions) { anonymous } else { resident(&engine) };
    assert!(counted <= 15, "{counted} MiB");
}

#[test]
fn a_large_download_passes_in_little_memory() {
    const CHUNKS: u64 = 1_024;
    let upstream = Upstream::start(|_, exchange| {
        exchange.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", CHUNKS * MIB));
        let chunk = vec![b'a'; 1 << 20];
        for _ in 0..CHUNKS {
            exchange.write(&chunk);
        }
    });
    let engine = engine!().start();
    let idle = resident(&engine);
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(Request::get(&upstream.url("/big")).to_proxy()).unwrap();
    client.head().unwrap();
    let (mut total, mut most) = (0, 0);
    let mut buffer = vec![0; 1 << 20];
    let mut next = MIB;
    // The start of the body arrived with the head and is in the client's buffer.
    let all = (CHUNKS - 1) * MIB;
    while total < all {
        let n = client.wire.stream.read(&mut buffer).unwrap();
        assert!(n > 0, "it ended after {total} bytes");
        total += n as u64;
        if total > next {
            most = most.max(resident(&engine));
            next += 64 * MIB;
        }
    }
    println!("1 GiB passed with {most} MiB, idle are {idle} MiB");
    assert!(most <= idle + 32, "{most} MiB, idle {idle} MiB");
}

#[test]
fn large_posts_at_once_are_spooled_and_a_kill_leaves_nothing_of_them() {
    const POSTS: usize = 64;
    const SIZE: usize = 15 << 20;
    let gate = Gate::new();
    let (addr, hits) = discarding(&gate);
    let engine = engine!().start();
    let proxy = engine.proxy;
    let senders: Vec<_> = (0..POSTS)
        .map(|i| {
            thread::spawn(move || {
                let url = format!("http://{addr}/up/{i}");
                let head = format!(
                    "POST {url} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {SIZE}\r\n\r\n"
                );
                let mut stream = TcpStream::connect(proxy).unwrap();
                stream.write_all(head.as_bytes()).unwrap();
                let piece = vec![b'a'; 64 << 10];
                for _ in 0..SIZE / piece.len() {
                    stream.write_all(&piece).unwrap();
                }
                stream
            })
        })
        .collect();
    let streams: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    wait_until("all are at the upstream", || (hits.load(Ordering::SeqCst) == POSTS).then_some(()));
    let most = engine.memory_kib("VmHWM") / KIB;
    println!("{POSTS} posts of 15 MiB at once: at most {most} MiB");
    assert!(most < 200, "{most} MiB");
    assert_eq!(engine.proxied().len(), POSTS);
    let builder = engine.kill();
    drop(streams);
    gate.open();
    let folder = builder.database_path().parent().unwrap();
    for (name, _) in files(folder) {
        assert!(name.contains("engine.db"), "{name} is left");
    }
}

/// This process has one end of each connection, and the engine, which raises its own limit, the other.
pub(crate) fn raise_open_files(needed: u64) {
    let limit = getrlimit(Resource::Nofile);
    let maximum = limit.maximum.unwrap_or(u64::MAX);
    assert!(maximum >= needed, "{needed} open files are needed, and `ulimit -Hn` is {maximum}");
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

/// The connection has neither data nor an end.
fn is_open(client: &Client) -> bool {
    client.wire.stream.set_nonblocking(true).unwrap();
    let silent = client.wire.stream.peek(&mut [0]);
    silent.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn ten_thousand_connections_stay_open_for_an_idle_minute_and_are_cheap() {
    const CONNECTIONS: usize = 10_000;
    raise_open_files(CONNECTIONS as u64 + 500);
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let request = Request::get(&upstream.url("/"));
    let (opened, idle) = mpsc::channel();
    // Each connection is checked a minute after it was opened, however long the others take. The idle limit
    // is 75 s.
    let looked_at = thread::spawn(move || {
        let looked_at = |(n, (client, answered)): (usize, (Client, Instant))| {
            thread::sleep((answered + MINUTE).saturating_duration_since(Instant::now()));
            assert!(is_open(&client), "connection {n} was closed");
            client
        };
        idle.into_iter().enumerate().map(looked_at).collect::<Vec<_>>()
    });
    for _ in 0..CONNECTIONS {
        let mut client = Client::connect(engine.proxy).unwrap();
        client.write(request.to_proxy()).unwrap();
        assert_eq!(client.answer("GET").unwrap().status, 200);
        opened.send((client, Instant::now())).unwrap();
    }
    drop(opened);
    let most = engine.memory_kib("VmHWM") / KIB;
    println!("{CONNECTIONS} idle connections: at most {most} MiB");
    assert!(most < 400, "{most} MiB");
    let mut last = looked_at.join().unwrap().pop().unwrap();
    last.wire.stream.set_nonblocking(false).unwrap();
    last.write(request.to_proxy()).unwrap();
    assert_eq!(last.answer("GET").unwrap().status, 200);
}

#[test]
fn a_foreign_reader_that_pins_the_log_is_reported() {
    const PIECE: usize = 7 << 20;
    let upstream = Upstream::start(|_, exchange| exchange.answer(200, &[], &vec![b'a'; PIECE]));
    let engine = engine!().start();
    let read = ["BEGIN", "SELECT count(*) FROM sqlite_schema"];
    let reader = Foreign::hold(engine.builder().database_path(), &read);

    let ready = || engine.http(&Request::get(&format!("http://{}/readyz", engine.api)));
    let pinned = || {
        ready()
            .text()
            .contains("another program's open read transaction may keep it from shrinking")
    };
    let log = || engine.metric("state_engine_wal_size_bytes", &[]);
    assert!(!pinned());
    let mut calls = 0_usize;
    let mut call = || {
        calls += 1;
        engine.post(&upstream.url("/"), &calls.to_string()).assert_is(200, "executed");
    };
    for _ in 0..=128 * MIB as usize / PIECE {
        call();
    }
    assert!(log() > (128 * MIB) as f64, "{}", log());
    wait_until("it is reported", || pinned().then_some(()));
    assert!(engine.log().contains("keeps the write-ahead log from shrinking"));
    assert_eq!(ready().status, 200, "it still takes calls");

    reader.leave();
    wait_until("the log starts again, and shrinks with the next commit", || {
        call();
        (!pinned() && log() <= (128 * MIB) as f64).then_some(())
    });
}

#[test]
fn a_pinned_log_past_its_bound_refuses_new_calls_and_records_those_in_flight() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |request, exchange| {
        if request.target() == "/held" {
            held.wait();
        }
        exchange.answer(200, &[], &vec![b'a'; 7 << 20]);
    });
    let engine = engine!().arg("--max-log").arg((32 * MIB).to_string()).start();
    let calls = ["x", "y"].map(|body| Request::post(&upstream.url("/held"), body));
    let proxy = engine.proxy;
    thread::scope(|scope| {
        let waiting = calls.each_ref().map(|call| scope.spawn(|| call.via(proxy)));
        upstream.wait_for_hits(calls.len());
        let read = ["BEGIN", "SELECT count(*) FROM sqlite_schema"];
        let reader = Foreign::hold(engine.builder().database_path(), &read);
        let new = |n: usize| Request::post(&upstream.url("/"), n.to_string());
        let mut done = 0;
        let refused = wait_until("new calls are refused", || {
            let answer = engine.send(&new(done));
            done += usize::from(answer.status == 200);
            (answer.status != 200).then_some(answer)
        });
        refused.assert_problem(507, "store-full");
        assert!(refused.text().contains("write-ahead log"), "{}", refused.text());
        let hits = upstream.hits();
        engine.send(&new(done).key("k")).assert_problem(507, "store-full");
        engine
            .send(&Request::new("PUT", &upstream.url("/")).body("x"))
            .assert_problem(507, "store-full");
        assert!(engine.try_rpc("create_user", &json!({"username": "eve"})).is_err());
        assert_eq!(upstream.hits(), hits);
        engine.send(&new(0)).assert_is(200, "replayed");
        let ready = engine.http(&Request::get(&format!("http://{}/readyz", engine.api)));
        assert_eq!(ready.status, 503, "{}", ready.text());
        gate.open();
        for call in waiting {
            call.join().unwrap().assert_is(200, "executed");
        }
        reader.leave();
        wait_until("new calls are accepted", || {
            (engine.send(&new(done)).status == 200).then_some(())
        });
    });
}

#[test]
fn the_wal_stays_bounded_in_a_minute_of_load_while_readers_page_without_pause() {
    let engine = engine!().start();
    let (user, session, goal) = engine.goal("ada");
    let stop = AtomicBool::new(false);
    let started = Barrier::new(21);
    let pad = "x".repeat(2_000);
    let wal = format!("{}-wal", engine.builder().database_path().display());
    let (written, pages) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let most = thread::scope(|scope| {
        for writer in 0..16 {
            let (engine, stop, started, written) = (&engine, &stop, &started, &written);
            let ids = (&user, &session, &goal);
            let pad = &pad;
            scope.spawn(move || {
                let mut client = Client::connect(engine.api).unwrap();
                started.wait();
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let call = format!(
                        r#"{{"jsonrpc":"2.0","id":1,"method":"execute_tool_idempotent","params":{{"user_id":"{}","session_id":"{}","goal_id":"{}","tool_name":"t","tool_input":["{writer} {n}","{pad}"]}}}}"#,
                        ids.0, ids.1, ids.2
                    );
                    let url = format!("http://{}/", engine.api);
                    let answer = client.ask(&Request::post_json(&url, call));
                    assert!(answer.text().contains("\"result\""), "{}", answer.text());
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..4 {
            let (engine, stop, started, pages) = (&engine, &stop, &started, &pages);
            scope.spawn(move || {
                started.wait();
                while !stop.load(Ordering::Relaxed) {
                    let list = r#"{"jsonrpc":"2.0","id":1,"method":"list_executions","params":{"limit":100}}"#;
                    let page = engine.try_rpc_text(list).unwrap();
                    assert!(page.text().contains("\"result\""), "{}", page.text());
                    pages.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        started.wait();
        let begin = Instant::now();
        let mut most = 0;
        while begin.elapsed() < MINUTE {
            most = most.max(std::fs::metadata(&wal).map(|wal| wal.len()).unwrap_or_default());
            thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Ordering::Relaxed);
        most
    });
    let (written, pages) = (written.into_inner(), pages.into_inner());
    println!("{written} calls and {pages} pages; the WAL had at most {} MiB", most / MIB);
    assert!(written > 100 && pages > 10);
    assert!(most <= 256 * MIB, "{} MiB", most / MIB);
}
