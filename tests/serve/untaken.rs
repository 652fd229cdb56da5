//! Answers that nobody takes stay out of memory, and hold nobody up.
#![expect(clippy::print_stdout, reason = "it reports what it measured")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use testkit::codings::gzip;
use testkit::{Client, Engine, Request, Response, Upstream, Wire, engine, wait_until};

use crate::memory::raise_open_files;

const MIB: usize = 1 << 20;
const SIZE: usize = 8 * MIB;
/// How many clients take nothing.
const CLIENTS: usize = 2_000;

/// A tool that answers every request with the same bytes, of which all connections share one copy.
fn generous(field: &str, body: &[u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let hits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&hits);
    let length = body.len();
    let head =
        format!("HTTP/1.1 200 OK\r\n{field}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    let answer: Arc<[u8]> = [head.as_bytes(), body].concat().into();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (count, answer) = (Arc::clone(&count), Arc::clone(&answer));
            let serve = move || {
                let mut read = [0; 4_096];
                loop {
                    match stream.read(&mut read) {
                        Ok(n)
                            if n > 0 && (read.starts_with(b"GET") || read[..n].ends_with(b"#")) =>
                        {
                            break;
                        }
                        Ok(n) if n > 0 => {}
                        _ => return,
                    }
                }
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(&answer);
                let _ = stream.read(&mut read);
            };
            thread::Builder::new().stack_size(64 << 10).spawn(serve).unwrap();
        }
    });
    (addr, hits)
}

/// A client that asks, and takes nothing.
fn ask(engine: &Engine, request: &Request) -> TcpStream {
    let mut client = TcpStream::connect(engine.proxy).unwrap();
    client.write_all(&request.to_proxy()).unwrap();
    client
}

/// Takes the whole answer after all.
fn take(client: TcpStream) -> Response {
    client.set_nonblocking(false).unwrap();
    Client { wire: Wire::new(client) }.answer("POST").unwrap()
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
                client.write(Request::post(&url, calls.to_string()).to_proxy()).unwrap();
                client.answer("POST").unwrap().assert_is(200, "executed");
                (calls, slowest) = (calls + 1, slowest.max(began.elapsed()));
            }
            (calls, slowest)
        });
        busy();
        stop.store(true, Ordering::Relaxed);
        others.join().unwrap()
    })
}

/// The engine has taken less than so many MiB, and others were answered.
fn assert_small(engine: &Engine, what: &str, limit: u64, others: (usize, Duration)) {
    let most = engine.memory_kib("VmHWM") / 1024;
    println!("{what}: at most {most} MiB; {} other calls, the slowest {:?}", others.0, others.1);
    assert!(most < limit, "{most} MiB");
    assert!(others.0 > 0);
}

fn letters() -> Vec<u8> {
    vec![b'a'; SIZE]
}

fn is_letters(body: &[u8]) -> bool {
    body.len() == SIZE && body.iter().all(|byte| *byte == b'a')
}

#[test]
fn two_thousand_replays_of_one_answer_share_it() {
    raise_open_files(2 * CLIENTS as u64 + 500);
    let (addr, hits) = generous("", &letters());
    let engine = engine!().start();
    let request = Request::post(&format!("http://{addr}/one"), "#");
    engine.send(&request).assert_is(200, "executed");
    let mut clients = Vec::new();
    let others = beside(&engine, || {
        clients.extend((0..CLIENTS).map(|_| ask(&engine, &request)));
        wait_until("all replays have begun", || clients.iter().all(is_answered).then_some(()));
    });
    assert_small(&engine, "2,000 replays that nobody takes", 1_024, others);
    assert_eq!(hits.load(Ordering::SeqCst), 1);
    let answer = take(clients.pop().unwrap());
    answer.assert_is(200, "replayed");
    assert!(is_letters(&answer.body));
}

#[test]
fn two_thousand_answers_that_nobody_takes_stay_out_of_memory() {
    /// So many answers are on their way: 512 MiB. The others wait in files, or at the tool.
    const BEGUN: usize = 64;
    raise_open_files(2 * CLIENTS as u64 + 500);
    let (addr, hits) = generous("", &letters());
    let engine = engine!().start();
    let url = format!("http://{addr}/many");
    let mut clients = Vec::new();
    let others = beside(&engine, || {
        let request = |n| Request::post(&url, format!("{n}#"));
        clients.extend((0..CLIENTS).map(|n| ask(&engine, &request(n))));
        wait_until("all calls are at the tool", || {
            (hits.load(Ordering::SeqCst) == CLIENTS).then_some(())
        });
        wait_until("many answers have begun", || {
            (clients.iter().filter(|client| is_answered(client)).count() >= BEGUN).then_some(())
        });
    });
    assert_small(&engine, "2,000 fresh answers that nobody takes", 1_024, others);
    let first = clients.iter().position(is_answered).unwrap();
    assert!(is_letters(&take(clients.swap_remove(first)).body));
}

/// A kind of answers, and what they may take of memory in MiB. Each kind takes more if the engine holds
/// 400 KiB of an answer, as hyper would.
struct Case<'a> {
    what: &'a str,
    field: &'a str,
    body: &'a [u8],
    request: &'a dyn Fn(&str, usize) -> Request,
    clients: usize,
    limit: u64,
}

#[test]
fn what_passes_flows_or_is_decoded_stays_out_of_memory_too() {
    raise_open_files(2 * CLIENTS as u64 + 500);
    let (plain, coded) = (letters(), gzip(&letters()));
    let download = Case {
        what: "1,500 downloads that nobody takes",
        field: "",
        body: &plain,
        request: &|url, _| Request::get(url),
        clients: 1_500,
        limit: 600,
    };
    let stream = Case {
        what: "1,500 streams that nobody takes",
        field: "Content-Type: text/event-stream\r\n",
        request: &|url, n| Request::post(url, format!("{n}#")),
        limit: 800,
        ..download
    };
    let decoded = Case {
        what: "150 decoded replays that nobody takes",
        field: "Content-Encoding: gzip\r\n",
        body: &coded,
        request: &|url, _| Request::post(url, "#").header("Accept-Encoding", "identity"),
        clients: 150,
        limit: 800,
    };
    for Case { what, field, body, request, clients: count, limit } in [download, stream, decoded] {
        let (addr, _) = generous(field, body);
        let engine = engine!().start();
        let url = format!("http://{addr}/");
        // What the replays are of.
        engine
            .post(&url, "#")
            .assert_is(200, if field.contains("stream") { "executing" } else { "executed" });
        let mut clients = Vec::new();
        let others = beside(&engine, || {
            clients.extend((0..count).map(|n| ask(&engine, &request(&url, n))));
            wait_until("all have begun", || clients.iter().all(is_answered).then_some(()));
        });
        assert_small(&engine, what, limit, others);
        assert!(is_letters(&take(clients.pop().unwrap()).body), "{what}");
    }
}
