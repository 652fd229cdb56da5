//! Answers that nobody takes stay out of memory, and hold nobody up.
#![expect(clippy::print_stdout, reason = "it reports what it measured")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use testkit::{Client, Engine, Request, Upstream, engine, wait_until};

use crate::memory::raise_open_files;

const MIB: usize = 1 << 20;
const SIZE: usize = 8 * MIB;
/// How many clients take nothing.
const CLIENTS: usize = 2_000;

/// Answers every request with the same 8 MiB, of which all connections share one copy.
fn generous() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let hits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&hits);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nConnection: close\r\n\r\n");
    let body: Arc<[u8]> = vec![b'a'; SIZE].into();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (count, head, body) = (Arc::clone(&count), head.clone(), Arc::clone(&body));
            let answer = move || {
                let mut read = [0; 4_096];
                while !read.ends_with(b"#") {
                    match stream.read(&mut read) {
                        Ok(n) if n > 0 && read[..n].ends_with(b"#") => break,
                        Ok(n) if n > 0 => {}
                        _ => return,
                    }
                }
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
                let _ = stream.read(&mut read);
            };
            thread::Builder::new().stack_size(64 << 10).spawn(answer).unwrap();
        }
    });
    (addr, hits)
}

/// A client that asks, and takes nothing.
fn ask(engine: &Engine, url: &str, body: &str) -> TcpStream {
    let mut client = TcpStream::connect(engine.proxy).unwrap();
    client.write_all(&Request::post(url, body).to_proxy()).unwrap();
    client
}

/// Whether a part of the answer has come.
fn is_answered(client: &TcpStream) -> bool {
    client.set_nonblocking(true).unwrap();
    client.peek(&mut [0]).is_ok_and(|read| read > 0)
}

/// Calls a small tool without a pause while `busy` runs. Returns how often it was answered, and the
/// slowest answer.
fn beside(engine: &Engine, busy: impl FnOnce()) -> (usize, Duration) {
    let upstream = Upstream::echo();
    let url = upstream.url("/small");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            let (mut calls, mut slowest) = (0, Duration::ZERO);
            let mut client = Client::connect(engine.proxy).unwrap();
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                client.ask(&Request::post(&url, calls.to_string())).assert_is(200, "executed");
                (calls, slowest) = (calls + 1, slowest.max(began.elapsed()));
            }
            (calls, slowest)
        });
        busy();
        stop.store(true, Ordering::Relaxed);
        others.join().unwrap()
    })
}

fn assert_small(engine: &Engine, what: &str, others: (usize, Duration)) {
    let most = engine.memory_kib("VmHWM") / 1024;
    println!("{what}: at most {most} MiB; {} other calls, the slowest {:?}", others.0, others.1);
    assert!(most < 1024, "{most} MiB");
    assert!(others.0 > 10, "{} other calls", others.0);
}

#[test]
fn two_thousand_replays_of_one_answer_share_it() {
    raise_open_files(2 * CLIENTS as u64 + 500);
    let (addr, hits) = generous();
    let engine = engine!().start();
    let url = format!("http://{addr}/one");
    engine.post(&url, "#").assert_is(200, "executed");
    let mut clients = Vec::new();
    let others = beside(&engine, || {
        clients.extend((0..CLIENTS).map(|_| ask(&engine, &url, "#")));
        wait_until("all replays have begun", || clients.iter().all(is_answered).then_some(()));
    });
    assert_small(&engine, "2,000 replays that nobody takes", others);
    assert_eq!(hits.load(Ordering::SeqCst), 1);
    // Those who take it get all of it.
    let last = clients.pop().unwrap();
    last.set_nonblocking(false).unwrap();
    let answer = testkit::Client { wire: testkit::Wire::new(last) }.answer("POST").unwrap();
    answer.assert_is(200, "replayed");
    assert!(answer.body.len() == SIZE && answer.body.iter().all(|byte| *byte == b'a'));
}

#[test]
fn two_thousand_answers_that_nobody_takes_stay_out_of_memory() {
    /// So many answers are recorded and on their way: 2 GiB.
    const BEGUN: usize = 256;
    raise_open_files(2 * CLIENTS as u64 + 500);
    let (addr, hits) = generous();
    let engine = engine!().start();
    let url = format!("http://{addr}/many");
    let mut clients = Vec::new();
    let others = beside(&engine, || {
        clients.extend((0..CLIENTS).map(|n| ask(&engine, &url, &format!("{n}#"))));
        wait_until("all calls are at the tool", || {
            (hits.load(Ordering::SeqCst) == CLIENTS).then_some(())
        });
        wait_until("many answers have begun", || {
            (clients.iter().filter(|client| is_answered(client)).count() >= BEGUN).then_some(())
        });
    });
    assert_small(&engine, "2,000 fresh answers that nobody takes", others);
    let first = clients.iter().position(is_answered).unwrap();
    let client = clients.swap_remove(first);
    client.set_nonblocking(false).unwrap();
    let answer = testkit::Client { wire: testkit::Wire::new(client) }.answer("POST").unwrap();
    assert!(answer.body.len() == SIZE && answer.body.iter().all(|byte| *byte == b'a'));
}
