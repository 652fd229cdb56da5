//! A rule with `repeat = "delivered"`. Once its answer was delivered, the same call is a new one; until
//! then it is a retry. A new run of the agent is first answered from the record.

use std::net::Shutdown;
use std::process::Stdio;

use testkit::{Builder, Client, Engine, Gate, Request, Response, Upstream, engine, wait_until};

fn builder() -> Builder {
    let builder = engine!();
    let file = builder.home().join("engine.toml");
    let rules = "[[rule]]\nname = \"lamp\"\npath = \"/lamp\"\nrepeat = \"delivered\"\n";
    std::fs::write(&file, rules).unwrap();
    builder.arg("--config").arg(file)
}

fn post(upstream: &Upstream, run: &str, body: &str) -> Request {
    Request::post(&upstream.url("/lamp"), body)
        .header("Agent-Session", "lamps")
        .header("Agent-Run", run)
}

/// The word of `Idempotency-Status`, over a new connection that is closed cleanly.
#[track_caller]
fn send(engine: &Engine, request: &Request) -> String {
    word(&engine.send(request))
}

fn word(answer: &Response) -> String {
    let status = answer.header("idempotency-status").unwrap_or("-");
    status.split(';').next().unwrap_or_default().to_owned()
}

/// Sends a request on a kept connection.
fn send_on(client: &mut Client, request: &Request) -> Response {
    client.write(request.to_proxy()).unwrap();
    client.answer("POST").unwrap()
}

#[test]
fn on_off_on_has_three_effects_over_one_connection() {
    let upstream = Upstream::echo();
    let engine = builder().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    for (n, body) in ["on", "off", "on", "on"].into_iter().enumerate() {
        let answer = send_on(&mut client, &post(&upstream, "1", body));
        answer.assert_is(200, "executed");
        assert_eq!(answer.text(), format!("{} POST /lamp {body}", n + 1));
    }
    assert_eq!(upstream.hits(), 4);
    let keys: std::collections::BTreeSet<_> = engine
        .proxied()
        .iter()
        .map(|execution| execution["idempotency_key"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(keys.len(), 4, "each has its own key: {keys:?}");
}

#[test]
fn a_connection_that_was_closed_cleanly_has_delivered() {
    let upstream = Upstream::echo();
    let engine = builder().start();
    for n in 1..=5 {
        assert_eq!(send(&engine, &post(&upstream, "1", "on")), "executed", "{n}");
    }
    // Real programs, each with one connection per call.
    for n in 6..=8 {
        let curl = std::process::Command::new("curl")
            .args(["-sS", "-d", "on", "-H", "Agent-Session: lamps", "-x"])
            .args([format!("http://{}", engine.proxy), upstream.url("/lamp")])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(curl.stdout).unwrap(), format!("{n} POST /lamp on"));
    }
}

#[test]
fn an_answer_that_was_not_read_is_replayed() {
    let upstream = Upstream::echo();
    let engine = builder().start();
    let request = post(&upstream, "1", "on");
    // The client shuts down its write side, then closes without reading a byte.
    let mut half = Client::connect(engine.proxy).unwrap();
    half.write(request.to_proxy()).unwrap();
    half.wire.stream.shutdown(Shutdown::Write).unwrap();
    upstream.wait_for_hits(1);
    wait_until("the answer is there", || (half.wire.stream.peek(&mut [0]).ok()? > 0).then_some(()));
    drop(half);
    assert_eq!(send(&engine, &request), "replayed");
    assert_eq!(send(&engine, &request), "executed");
    assert_eq!(upstream.hits(), 2);
}

/// A connection that is closed with its answer unread is reset. A killed program leaves one like that.
#[test]
fn a_connection_that_was_reset_has_not_delivered_also_in_a_tunnel() {
    for tunnel in [false, true] {
        let upstream = Upstream::echo();
        let engine = builder().start();
        let request = post(&upstream, "1", "on");
        let client = if tunnel {
            let authority = upstream.addr.to_string();
            let (mut client, head) = Client::tunnel(engine.proxy, &authority, "").unwrap();
            assert!(head.line.contains(" 200"), "{head:?}");
            client.write(request.to_origin()).unwrap();
            client
        } else {
            let mut client = Client::connect(engine.proxy).unwrap();
            client.write(request.to_proxy()).unwrap();
            client
        };
        let stream = &client.wire.stream;
        wait_until("the answer is there", || (stream.peek(&mut [0]).ok()? > 0).then_some(()));
        drop(client);
        assert_eq!(send(&engine, &request), "replayed", "in a tunnel: {tunnel}");
        assert_eq!(send(&engine, &request), "executed");
        assert_eq!(upstream.hits(), 2);
    }
}

#[test]
fn a_client_that_hangs_up_gets_its_answer_when_it_retries() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, exchange| {
        held.wait();
        exchange.answer(200, &[], b"done");
    });
    let engine = builder().start();
    let request = post(&upstream, "1", "on");
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(request.to_proxy()).unwrap();
    upstream.wait_for_hits(1);
    drop(client);
    gate.open();
    wait_until("it is recorded", || {
        (engine.proxied().first()?["status"] == "completed").then_some(())
    });
    assert_eq!(send(&engine, &request), "replayed");
    assert_eq!(upstream.hits(), 1);
}

/// Several answers may be on their way to one run at once: each one's fate counts, not only the last
/// one's. The lost one is given up while its call runs, so that it ends together with its retry.
#[test]
fn a_repeat_at_once_after_a_retry_is_a_new_call() {
    let gates = std::sync::Arc::new(std::sync::Mutex::new(Gate::new()));
    let current = std::sync::Arc::clone(&gates);
    let upstream = Upstream::start(move |_, exchange| {
        let gate = current.lock().unwrap().clone();
        gate.wait();
        exchange.answer(200, &[], b"done");
    });
    let engine = builder().start();
    for n in 1..=40 {
        let gate = Gate::new();
        *gates.lock().unwrap() = gate.clone();
        let request = post(&upstream, "1", &format!("on {n}"));
        let mut lost = Client::connect(engine.proxy).unwrap();
        lost.write(request.to_proxy()).unwrap();
        upstream.wait_for_hits(2 * n - 1);
        lost.wire.stream.shutdown(Shutdown::Both).unwrap();
        let mut retry = Client::connect(engine.proxy).unwrap();
        retry.write(request.to_proxy()).unwrap();
        wait_until("the retry waits", || {
            (engine.metric("state_engine_duplicates_waiting", &[]) >= 1.0).then_some(())
        });
        gate.open();
        assert_eq!(word(&retry.answer("POST").unwrap()), "coalesced");
        drop(retry);
        assert_eq!(send(&engine, &request), "executed", "{n}");
        assert_eq!(upstream.hits(), 2 * n);
    }
}

/// An engine that is killed before the connection ends does not learn of the delivery.
#[test]
fn a_restart_forgets_no_delivery_that_was_recorded() {
    let upstream = Upstream::echo();
    let engine = builder().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    send_on(&mut client, &post(&upstream, "1", "on")).assert_is(200, "executed");
    send_on(&mut client, &post(&upstream, "1", "on")).assert_is(200, "executed");
    // The connection is open: the engine does not know whether the second answer was delivered.
    let engine = engine.kill_and_restart();
    assert_eq!(send(&engine, &post(&upstream, "1", "on")), "replayed");
    assert_eq!(send(&engine, &post(&upstream, "1", "on")), "executed");
    assert_eq!(upstream.hits(), 3);
}

#[test]
fn a_new_run_is_answered_from_the_record_first() {
    let upstream = Upstream::echo();
    let engine = builder().start();
    for _ in 0..3 {
        assert_eq!(send(&engine, &post(&upstream, "1", "on")), "executed");
    }
    let engine = engine.kill_and_restart();
    let mut client = Client::connect(engine.proxy).unwrap();
    for n in 1..=3 {
        let answer = send_on(&mut client, &post(&upstream, "2", "on"));
        answer.assert_is(200, "replayed");
        assert_eq!(answer.text(), format!("{n} POST /lamp on"), "in order");
    }
    send_on(&mut client, &post(&upstream, "2", "on")).assert_is(200, "executed");
    send_on(&mut client, &post(&upstream, "2", "on")).assert_is(200, "executed");
    assert_eq!(upstream.hits(), 5);
}

#[test]
fn a_refusal_does_not_count_as_delivered_and_a_key_or_a_repeat_decides() {
    let upstream = Upstream::start(|request, exchange| match request.body.as_slice() {
        b"bad" => exchange.answer(422, &[], b"no"),
        b"dark" => exchange.answer(500, &[], b"oh"),
        _ => exchange.answer(200, &[], b"done"),
    });
    let engine = builder().start();
    // Refused: the retry is a new attempt of the same execution, so a restart finds one call, not two.
    for _ in 0..2 {
        assert_eq!(send(&engine, &post(&upstream, "1", "bad")), "not-executed");
    }
    assert_eq!(engine.proxied().len(), 1);
    // In doubt: sending the call again does not get past it.
    assert_eq!(send(&engine, &post(&upstream, "1", "dark")), "in-doubt");
    engine.send(&post(&upstream, "1", "dark")).assert_is(424, "in-doubt");
    for header in ["Idempotency-Key", "Agent-Repeat"] {
        let request = post(&upstream, "1", "on").header(header, "x");
        assert_eq!(send(&engine, &request), "executed");
        assert_eq!(send(&engine, &request), "replayed", "{header}");
    }
}

/// `run` puts the run's name into the proxy credentials, which an unchanged program sends.
#[test]
fn a_restarted_program_goes_on_where_it_stopped() {
    let upstream = Upstream::echo();
    let engine = builder().start();
    let toggle = "for n in 1 2 3; do curl -sS -d on $URL || exit 9; echo; done";
    let run = |line: &str| {
        let mut command = engine.builder().command();
        command.args(["run", "--session", "lamps", "--database"]);
        command.arg(engine.builder().database_path()).args(["--", "sh", "-c", line]);
        let ran = command.env("URL", upstream.url("/lamp")).stdin(Stdio::null()).output().unwrap();
        String::from_utf8(ran.stdout).unwrap()
    };
    let expected =
        |n: &[usize]| n.iter().map(|n| format!("{n} POST /lamp on\n")).collect::<Vec<_>>().concat();
    assert_eq!(run(&format!("{toggle}; exit 1").replace("1 2 3", "1 2")), expected(&[1, 2]));
    assert_eq!(run(toggle), expected(&[1, 2, 3]));
    assert_eq!(upstream.hits(), 3);
}
