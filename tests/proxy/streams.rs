//! Streams flow as they arrive, and end only once they are on disk. Other answers are held back whole.

use std::time::{Duration, Instant};

use testkit::{
    Client, Exchange, Framing, Gate, Request, Upstream, all_at_once, engine, engine_with_failpoints,
};

const EVENTS: [&str; 3] = ["data: one\n\n", "data: two\n\n", "data: three\n\n"];

/// Sends one event, and the others after the gate opens.
fn event_stream(exchange: &mut Exchange, gate: &Gate) {
    exchange.begin_chunked(200, &[("Content-Type", "text/event-stream")]);
    exchange.chunk(EVENTS[0]);
    gate.wait();
    exchange.chunk(EVENTS[1]);
    exchange.chunk(EVENTS[2]);
    exchange.end_chunked(&[]);
}

fn streaming(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |_, exchange| event_stream(exchange, &gate))
}

/// Reads until `length` bytes of the body have arrived.
fn read_until(client: &mut Client, framing: &mut Framing, length: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < length {
        body.extend(client.wire.read_piece(framing).unwrap().expect("the stream goes on"));
    }
    body
}

#[test]
fn events_flow_before_the_stream_ends() {
    for kind in [
        "text/event-stream",
        "text/event-stream; charset=utf-8",
        "application/x-ndjson",
        "application/jsonl",
        "application/json-seq",
        "multipart/x-mixed-replace; boundary=b",
    ] {
        let gate = Gate::new();
        let shut = gate.clone();
        let upstream = Upstream::start(move |_, exchange| {
            exchange.begin_chunked(200, &[("Content-Type", kind)]);
            exchange.chunk("first\n");
            shut.wait();
            exchange.chunk("second\n");
            exchange.end_chunked(&[]);
        });
        let engine = engine!().start();
        let request = Request::post(&upstream.url("/"), "x");
        let mut client = Client::connect(engine.proxy).unwrap();
        client.write(request.to_proxy()).unwrap();
        let head = client.head().unwrap();
        let status = head.get("idempotency-status").unwrap_or_default();
        assert!(status.starts_with("executing"), "{kind}: {head:?}");
        let mut framing = Client::framing(&head, "POST");
        assert_eq!(read_until(&mut client, &mut framing, 6), b"first\n", "{kind}");
        assert_eq!(engine.proxied()[0]["status"], "running");
        gate.open();
        let (rest, whole) = client.wire.read_rest(framing);
        assert!(whole, "{kind}");
        assert_eq!(rest, b"second\n", "{kind}");
        // The end was held back until the outcome was on disk: an immediate kill loses nothing.
        let engine = engine.kill_and_restart();
        let again = engine.send(&request);
        again.assert_is(200, "replayed");
        assert_eq!((again.text().as_str(), upstream.hits()), ("first\nsecond\n", 1), "{kind}");
    }
}

#[test]
fn a_chunked_answer_that_does_not_stream_is_held_back_whole() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, exchange| {
        exchange.begin_chunked(200, &[("Content-Type", "application/json")]);
        exchange.chunk("[1,");
        held.wait();
        exchange.chunk("2]");
        exchange.end_chunked(&[("X-Sum", "3")]);
    });
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/"), "x");
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(request.to_proxy()).unwrap();
    upstream.wait_for_hits(1);
    client.wire.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(client.wire.read_head().is_err(), "nothing comes before all of it");
    client.wire.stream.set_read_timeout(Some(testkit::DEADLINE)).unwrap();
    gate.open();
    let answer = client.answer("POST").unwrap();
    answer.assert_is(200, "executed");
    assert_eq!(answer.text(), "[1,2]");
    let again = engine.send(&request.clone().header("TE", "trailers"));
    again.assert_is(200, "replayed");
    assert_eq!(again.text(), "[1,2]");
}

#[test]
fn trailers_are_passed_stored_and_replayed_to_clients_that_read_them() {
    let upstream = Upstream::start(|_, exchange| {
        exchange
            .begin_chunked(200, &[("Content-Type", "application/x-ndjson"), ("Trailer", "X-Sum")]);
        exchange.chunk("1\n");
        exchange.end_chunked(&[("X-Sum", "1")]);
    });
    let engine = engine!().start();
    let request =
        Request::post(&upstream.url("/"), "x").header("TE", "trailers").header("Connection", "TE");
    let first = engine.send(&request);
    assert_eq!(first.text(), "1\n");
    let again = engine.send(&request);
    again.assert_is(200, "replayed");
    for answer in [&first, &again] {
        let found = answer
            .trailers
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("x-sum") && value == "1");
        assert!(found, "{answer:?}");
    }
    let without = engine.send(&Request::post(&upstream.url("/"), "x"));
    without.assert_is(200, "replayed");
    assert!(without.trailers.is_empty());
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_hundred_callers_of_a_stream_get_the_same_bytes_and_one_that_leaves_changes_nothing() {
    let gate = Gate::new();
    let upstream = streaming(&gate);
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/agent"), "go");
    let proxy = engine.proxy;

    let mut leader = Client::connect(proxy).unwrap();
    leader.write(request.to_proxy()).unwrap();
    let head = leader.head().unwrap();
    let mut framing = Client::framing(&head, "POST");
    let first = read_until(&mut leader, &mut framing, EVENTS[0].len());

    let mut quitter = Client::connect(proxy).unwrap();
    quitter.write(request.to_proxy()).unwrap();
    drop(quitter);
    let opener = {
        let gate = gate.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            gate.open();
        })
    };
    let followers = all_at_once(99, |i| {
        let mut client = Client::connect(proxy).unwrap();
        client.write(request.to_proxy()).unwrap();
        (i != 50).then(|| client.answer("POST").unwrap())
    });
    opener.join().unwrap();
    let (rest, whole) = leader.wire.read_rest(framing);
    assert!(whole);
    let all = EVENTS.concat();
    assert_eq!([first, rest].concat(), all.as_bytes());
    for follower in followers.iter().flatten() {
        assert_eq!((follower.status, follower.text()), (200, all.clone()));
        assert!(follower.whole);
    }
    assert_eq!(upstream.hits(), 1);

    let engine = engine.kill_and_restart();
    let proxy = engine.proxy;
    for again in all_at_once(99, |_| request.via(proxy)) {
        again.assert_is(200, "replayed");
        assert_eq!(again.text(), all);
        assert_eq!(again.header("content-type"), Some("text/event-stream"));
    }
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_first_caller_that_leaves_its_stream_cancels_nothing() {
    let gate = Gate::new();
    let upstream = streaming(&gate);
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/agent"), "go");
    let mut leader = Client::connect(engine.proxy).unwrap();
    leader.write(request.to_proxy()).unwrap();
    let head = leader.head().unwrap();
    let mut framing = Client::framing(&head, "POST");
    read_until(&mut leader, &mut framing, EVENTS[0].len());
    drop(leader);
    let mut follower = Client::connect(engine.proxy).unwrap();
    follower.write(request.to_proxy()).unwrap();
    gate.open();
    let answer = follower.answer("POST").unwrap();
    assert_eq!((answer.status, answer.text()), (200, EVENTS.concat()));
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_stream_that_breaks_off_breaks_off_for_its_caller_and_is_in_doubt() {
    for reset in [false, true] {
        let upstream = Upstream::start(move |_, exchange| {
            exchange.begin_chunked(200, &[("Content-Type", "text/event-stream")]);
            exchange.chunk(EVENTS[0]);
            std::thread::sleep(Duration::from_millis(50));
            if reset { exchange.reset() } else { exchange.close() }
        });
        let engine = engine!().start();
        let request = Request::post(&upstream.url("/agent"), "go");
        let first = engine.send(&request);
        assert_eq!(first.status, 200);
        assert!(!first.whole, "a truncated stream never ends cleanly: {first:?}");
        engine.send(&request).assert_problem(424, "in-doubt");
        assert_eq!(upstream.hits(), 1);
    }
}

/// For an HTTP/1.0 client there is no length: the end of the connection is the end of the answer.
#[test]
fn an_answer_that_breaks_off_never_ends_cleanly_for_http_1_0() {
    // The client has read the head before the answer breaks off: a reset may overtake what was written.
    let (head_was_read, read) = std::sync::mpsc::channel();
    let read = std::sync::Mutex::new(read);
    let upstream = Upstream::start(move |received, exchange| {
        exchange.begin_chunked(200, &[("Content-Type", "text/event-stream")]);
        exchange.chunk(EVENTS[0]);
        read.lock().unwrap().recv().unwrap();
        if received.target() == "/breaks" { exchange.close() } else { exchange.end_chunked(&[]) }
    });
    let engine = engine!().start();
    let host = upstream.addr;
    for method in ["GET", "POST"] {
        for (path, whole) in [("/breaks", false), ("/ends", true)] {
            let mut client = Client::connect(engine.proxy).unwrap();
            let url = upstream.url(path);
            client
                .write(format!(
                    "{method} {url} HTTP/1.0\r\nHost: {host}\r\nContent-Length: 1\r\n\r\nx"
                ))
                .unwrap();
            let head = client.head().unwrap();
            head_was_read.send(()).unwrap();
            let answer = client.rest(head, method);
            assert_eq!((answer.status, answer.header("content-length")), (200, None));
            assert_eq!(
                (answer.text().as_str(), answer.whole),
                (EVENTS[0], whole),
                "{method} {path}"
            );
        }
    }
    assert_eq!(upstream.hits(), 4);
}

#[test]
fn an_engine_killed_in_a_stream_leaves_it_in_doubt() {
    let gate = Gate::new();
    let upstream = streaming(&gate);
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/agent"), "go");
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(request.to_proxy()).unwrap();
    let head = client.head().unwrap();
    let mut framing = Client::framing(&head, "POST");
    read_until(&mut client, &mut framing, EVENTS[0].len());
    let engine = engine.kill_and_restart();
    assert!(!client.wire.read_rest(framing).1);
    gate.open();
    engine.send(&request).assert_problem(424, "in-doubt");
    assert_eq!(upstream.hits(), 1);
}

/// An empty body ends with the head. The client must not see it before the outcome is on disk.
#[test]
fn an_engine_killed_before_the_commit_has_not_answered_with_an_empty_stream() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.answer(200, &[("Content-Type", "text/event-stream")], b"");
    });
    let builder = engine_with_failpoints!();
    let engine = builder.clone().env("STATE_ENGINE_FAILPOINT", "before-commit").start();
    let request = Request::post(&upstream.url("/agent"), "go");
    let answer = request.try_via(engine.proxy);
    assert!(answer.is_err(), "{answer:?}");
    assert!(!engine.wait().0.success(), "it was to be killed");
    builder.start().send(&request).assert_problem(424, "in-doubt");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn reads_stream_too() {
    let gate = Gate::new();
    let upstream = streaming(&gate);
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(Request::get(&upstream.url("/events")).to_proxy()).unwrap();
    let head = client.head().unwrap();
    let mut framing = Client::framing(&head, "GET");
    assert_eq!(read_until(&mut client, &mut framing, EVENTS[0].len()), EVENTS[0].as_bytes());
    gate.open();
    assert!(client.wire.read_rest(framing).1);
}

#[test]
fn a_read_that_breaks_off_does_not_end_cleanly() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nonly this");
        exchange.close();
    });
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(Request::get(&upstream.url("/file")).to_proxy()).unwrap();
    let answer = client.answer("GET").unwrap();
    assert!(!answer.whole || answer.status == 502, "{answer:?}");
}

#[test]
fn a_client_that_leaves_a_read_frees_the_upstream() {
    let (elapsed, gone) = std::sync::mpsc::channel();
    let elapsed = std::sync::Mutex::new(elapsed);
    let upstream = Upstream::start(move |_, exchange| {
        exchange.begin_chunked(200, &[("Content-Type", "text/event-stream")]);
        exchange.chunk(EVENTS[0]);
        let start = Instant::now();
        while exchange.peer_is_there().unwrap_or(false) && start.elapsed() < testkit::DEADLINE {
            exchange.chunk(EVENTS[1]);
            std::thread::sleep(Duration::from_millis(5));
        }
        elapsed.lock().unwrap().send(start.elapsed() < testkit::DEADLINE).unwrap();
        exchange.close();
    });
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(Request::get(&upstream.url("/events")).to_proxy()).unwrap();
    client.head().unwrap();
    drop(client);
    assert!(gone.recv_timeout(testkit::DEADLINE).unwrap());
}
