//! Limits: what is too large, too slow or too much gets an error, and nothing is truncated.

use std::time::Duration;

use serde_json::json;
use testkit::{Client, Foreign, Gate, Request, Upstream, engine};

const MIB: usize = 1 << 20;

#[test]
fn a_request_over_the_limit_is_refused_and_never_truncated() {
    let upstream = Upstream::echo();
    let engine = engine!().arg("--max-request").arg("1MiB").start();
    let url = upstream.url("/");
    let fits = "a".repeat(MIB);
    engine.post(&url, &fits).assert_is(200, "executed");
    engine.post(&url, &(fits.clone() + "a")).assert_problem(413, "too-large");

    let mut client = Client::connect(engine.proxy).unwrap();
    client
        .write(format!(
            "POST {url} HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
            upstream.addr
        ))
        .unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", 64 * 1024, "b".repeat(64 * 1024));
    for _ in 0..40 {
        if client.write(&chunk).is_err() {
            break;
        }
    }
    let _ = client.write("0\r\n\r\n");
    if let Ok(answer) = client.answer("POST") {
        answer.assert_problem(413, "too-large");
    }
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_large_body_is_spooled_and_arrives_whole() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let body: Vec<u8> = (0..20 * MIB).map(|i| ((i * 31) >> 7) as u8).collect();
    let request = Request::new("POST", &upstream.url("/up")).body(body.clone());
    assert_eq!(engine.send(&request).status, 200);
    assert!(upstream.only().body == body, "the body is another one");
    let again = engine.send(&request);
    assert_ne!(again.word(), "executed");
    let mut other = body;
    other[20 * MIB - 1] ^= 1;
    assert_eq!(engine.send(&Request::new("POST", &upstream.url("/up")).body(other)).status, 200);
    assert_eq!(upstream.hits(), 2);
    for (path, size) in engine.files() {
        assert!(path.contains("engine.db") || size == 0, "{path} of {size} bytes is left");
    }
}

#[test]
fn a_stalled_request_body_is_given_up() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    client
        .write(format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Length: 10\r\n\r\nx",
            upstream.url("/"),
            upstream.addr
        ))
        .unwrap();
    client.answer("POST").unwrap().assert_problem(408, "body-stalled");
    assert_eq!(upstream.hits(), 0);
    assert!(engine.proxied().is_empty());
}

#[test]
fn a_slow_head_is_given_up() {
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write("POST http://127.0.0.1:9/ HTTP/1.1\r\nHost: 127").unwrap();
    // hyper may answer 408 or just close. It must not keep the connection.
    client.wire.stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    match client.wire.read_head() {
        Ok(Some(head)) => assert!(head.line.contains(" 408"), "{head:?}"),
        Ok(None) => {}
        Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it is kept open"),
    }
}

#[test]
fn an_answer_over_the_stores_limit_flows_and_its_duplicate_gets_a_problem() {
    const SIZE: usize = 9 * MIB;
    let upstream = Upstream::start(|_, exchange| {
        exchange.answer(201, &[("Location", "/made/1")], &vec![b'a'; SIZE]);
    });
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/"), "x");
    let first = engine.send(&request);
    assert_eq!((first.status, first.body.len(), first.whole), (201, SIZE, true));
    let engine = engine.kill_and_restart();
    let again = engine.send(&request);
    again.assert_problem(410, "response-not-kept");
    let problem = again.json();
    let text = problem.to_string();
    assert!(text.contains("201") && text.contains(&SIZE.to_string()), "{text}");
    assert!(text.contains("/made/1"), "{text}");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn an_answer_under_the_stores_limit_is_kept_whole() {
    const SIZE: usize = 8 * MIB - 1;
    let upstream = Upstream::start(|_, exchange| exchange.answer(200, &[], &vec![b'a'; SIZE]));
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/"), "x");
    engine.send(&request).assert_is(200, "executed");
    let engine = engine.kill_and_restart();
    let again = engine.send(&request);
    again.assert_is(200, "replayed");
    assert_eq!(again.body.len(), SIZE);
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_slow_reader_holds_up_nobody_else() {
    let upstream = Upstream::start(|request, exchange| {
        if request.target() == "/big" {
            exchange.answer(200, &[], &vec![b'a'; 64 * MIB]);
        } else {
            exchange.answer(200, &[], b"small");
        }
    });
    let engine = engine!().start();
    let mut slow = Client::connect(engine.proxy).unwrap();
    slow.write(Request::get(&upstream.url("/big")).to_proxy()).unwrap();
    let head = slow.head().unwrap();
    for i in 0..20 {
        engine.post(&upstream.url("/small"), &i.to_string()).assert_is(200, "executed");
    }
    let answer = slow.rest(head, "GET");
    assert_eq!((answer.body.len(), answer.whole), (64 * MIB, true));
}

#[test]
fn a_waiter_gets_a_problem_when_its_wait_is_over() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, exchange| {
        held.wait();
        exchange.answer(200, &[], b"late");
    });
    let engine = engine!().env("STATE_ENGINE_MAX_WAIT", "1s").start();
    let request = Request::post(&upstream.url("/"), "x");
    let mut leader = Client::connect(engine.proxy).unwrap();
    leader.write(request.to_proxy()).unwrap();
    upstream.wait_for_hits(1);
    let waited = engine.send(&request);
    waited.assert_problem(409, "in-progress");
    assert!(waited.header("retry-after").is_some(), "{waited:?}");
    let problem = waited.json();
    let running = problem["running_ms"].as_u64().unwrap();
    assert!((1_000..60_000).contains(&running), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with(&format!("the same call has been running for {} s.", running / 1_000))
    );
    gate.open();
    leader.answer("POST").unwrap().assert_is(200, "executed");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn while_another_program_writes_new_calls_are_refused_and_outcomes_wait() {
    let gate = Gate::new();
    let shut = gate.clone();
    let upstream = Upstream::start(move |_, exchange| {
        shut.wait();
        exchange.answer(200, &[], b"done");
    });
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(Request::post(&upstream.url("/"), "in flight").to_proxy()).unwrap();
    upstream.wait_for_hits(1);
    let foreign = Foreign::hold(engine.builder().database_path(), &["BEGIN IMMEDIATE"]);
    gate.open();

    let new = Request::post(&upstream.url("/"), "new");
    let user = json!({"username": "ada"});
    let (proxied, busy) = std::thread::scope(|scope| {
        let proxied = scope.spawn(|| engine.send(&new));
        let busy = engine.try_rpc("create_user", &user).unwrap_err();
        (proxied.join().unwrap(), busy)
    });
    proxied.assert_problem(503, "queue-full");
    assert_eq!((busy.code, &busy.data["code"]), (-32016, &json!("BUSY")), "{busy:?}");
    assert_eq!(upstream.hits(), 1, "nothing was sent");

    foreign.leave();
    client.answer("POST").unwrap().assert_is(200, "executed");
    engine.send(&new).assert_is(200, "executed");
    engine.rpc("create_user", &user);
}

#[test]
fn bad_values_of_options_are_refused_before_a_port_is_open() {
    for args in [
        ["--max-request", "much"],
        ["--max-request", "-1"],
        ["--pass", "http://host/"],
        ["--addr", "nowhere"],
        ["--proxy-addr", "0.0.0.0:0"],
        ["--addr", "0.0.0.0:0"],
    ] {
        let builder = engine!();
        let database = builder.database_path().to_str().unwrap();
        let output = builder.cli(["serve", "--database", database].iter().chain(&args));
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}
