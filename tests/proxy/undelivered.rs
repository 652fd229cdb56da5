//! Answers that did not arrive: the next equal call is a retry, with a fresh key, with fresh
//! credentials, over a crash. After one that arrived it is another call.

use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::{Builder, Client, Engine, Gate, Request, Response, Upstream, engine, wait_until};

fn pay(upstream: &Upstream, key: &str) -> Request {
    Request::post(&upstream.url("/pay"), "5 EUR").header("Agent-Session", "shop").key(key)
}

fn with_rule(rule: &str) -> Builder {
    let builder = engine!();
    let file = builder.home().join("engine.toml");
    std::fs::write(&file, rule).unwrap();
    builder.arg("--config").arg(file)
}

/// How a client loses the answer of a call that ran.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// It resets the connection with the answer unread: a killed program, a late timeout.
    Unread,
    /// It closed its side before there was an answer: a timeout.
    HungUp,
    /// It closed its side in the middle of a long answer.
    Midway,
}

const LOSSES: [Loss; 3] = [Loss::Unread, Loss::HungUp, Loss::Midway];

/// A tool that answers once the gate is open, so that a client can leave before.
fn held(gate: &Gate, length: usize) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |_, exchange| {
        gate.wait();
        exchange.answer(200, &[], &vec![b'x'; length]);
    })
}

/// Sends a request whose answer does not arrive.
fn lose(engine: &Engine, request: &Request, loss: Loss, upstream: &Upstream, gate: &Gate) {
    let hits = upstream.hits();
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(request.to_proxy()).unwrap();
    upstream.wait_for_hits(hits + 1);
    match loss {
        Loss::HungUp => {
            drop(client);
            gate.open();
            wait_until("it is recorded", || {
                engine.proxied().iter().all(|one| one["status"] == "completed").then_some(())
            });
        }
        Loss::Unread | Loss::Midway => {
            gate.open();
            let stream = &client.wire.stream;
            wait_until("the answer is there", || (stream.peek(&mut [0]).ok()? > 0).then_some(()));
            if matches!(loss, Loss::Midway) {
                // The rest does not fit into the system's buffers.
                stream.shutdown(Shutdown::Write).unwrap();
            }
            drop(client);
        }
    }
}

fn replayed_as_undelivered(answer: &Response) {
    answer.assert_is(200, "replayed");
    assert_eq!(answer.parameter("reason"), Some("undelivered"), "{answer:?}");
}

#[test]
fn a_fresh_key_after_a_lost_answer_gets_that_answer_and_acts_once() {
    for loss in LOSSES {
        for restart in [false, true] {
            let gate = Gate::new();
            let length = if matches!(loss, Loss::Midway) { 7 * 1024 * 1024 } else { 4 };
            let upstream = held(&gate, length);
            let mut engine = engine!().start();
            lose(&engine, &pay(&upstream, "k1"), loss, &upstream, &gate);
            if restart {
                engine = engine.kill_and_restart();
            }
            let second = engine.send(&pay(&upstream, "k2"));
            replayed_as_undelivered(&second);
            assert_eq!(second.body.len(), length, "{loss:?}");
            // Its key is another name of the same execution, and the first key still is one.
            for key in ["k1", "k2"] {
                let again = engine.send(&pay(&upstream, key));
                again.assert_is(200, "replayed");
                assert_eq!(again.parameter("reason"), None);
            }
            assert_eq!(upstream.hits(), 1, "{loss:?}, restarted: {restart}");
            // That answer arrived: a fresh key is a fresh call.
            engine.send(&pay(&upstream, "k3")).assert_is(200, "executed");
            assert_eq!(upstream.hits(), 2, "{loss:?}, restarted: {restart}");
        }
    }
}

#[test]
fn after_an_answer_that_arrived_there_are_as_many_effects_as_calls() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    // A connection each.
    for n in 0..20 {
        engine.send(&pay(&upstream, &format!("closed-{n}"))).assert_is(200, "executed");
    }
    // One connection for all.
    let mut kept = Client::connect(engine.proxy).unwrap();
    for n in 0..20 {
        kept.write(pay(&upstream, &format!("kept-{n}")).to_proxy()).unwrap();
        kept.answer("POST").unwrap().assert_is(200, "executed");
    }
    // A pool: the connections before stay open and idle.
    let mut pool = Vec::new();
    for n in 0..20 {
        let mut client = Client::connect(engine.proxy).unwrap();
        client.write(pay(&upstream, &format!("pool-{n}")).to_proxy()).unwrap();
        client.answer("POST").unwrap().assert_is(200, "executed");
        pool.push(client);
    }
    assert_eq!(upstream.hits(), 60);
}

/// Twins: equal calls at the same time under different keys, whose clients both wait.
#[test]
fn twins_both_act_and_a_client_that_left_has_none() {
    let gate = Gate::new();
    let upstream = held(&gate, 4);
    let engine = engine!().start();
    let mut twins: Vec<_> = ["k1", "k2"]
        .map(|key| {
            let mut client = Client::connect(engine.proxy).unwrap();
            client.write(pay(&upstream, key).to_proxy()).unwrap();
            client
        })
        .into();
    upstream.wait_for_hits(2);
    // The first one gives up while its call runs. What comes next is its retry, and waits for it.
    drop(twins.remove(0));
    let mut retry = Client::connect(engine.proxy).unwrap();
    retry.write(pay(&upstream, "k3").to_proxy()).unwrap();
    wait_until("the retry waits", || {
        (engine.metric("state_engine_duplicates_waiting", &[]) >= 1.0).then_some(())
    });
    gate.open();
    retry.answer("POST").unwrap().assert_is(200, "coalesced");
    twins.remove(0).answer("POST").unwrap().assert_is(200, "executed");
    assert_eq!(upstream.hits(), 2);
    engine.send(&pay(&upstream, "k4")).assert_is(200, "executed");
}

#[test]
fn fresh_credentials_are_held_and_another_repeat_runs() {
    let gate = Gate::new();
    let upstream = held(&gate, 4);
    let engine = engine!().start();
    let by = |key: &str, token: &str| pay(&upstream, key).header("Authorization", token);
    lose(&engine, &by("k1", "Bearer one"), Loss::Unread, &upstream, &gate);
    let held = engine.send(&by("k2", "Bearer two"));
    held.assert_problem(424, "in-doubt");
    assert_eq!(held.parameter("reason"), Some("same-content"));
    assert_eq!(held.json()["retry_token"], serde_json::Value::Null);
    engine.send(&by("k3", "Bearer one").header("Agent-Repeat", "2")).assert_is(200, "executed");
    let other = by("k4", "Bearer one").body("6 EUR");
    engine.send(&other).assert_is(200, "executed");
    let elsewhere = Request::post(&upstream.url("/pay"), "5 EUR").key("k5");
    engine.send(&elsewhere.header("Authorization", "Bearer one")).assert_is(200, "executed");
    replayed_as_undelivered(&engine.send(&by("k6", "Bearer one")));
    assert_eq!(upstream.hits(), 4);
}

#[test]
fn a_rule_says_what_a_retry_gets_and_a_setting_for_how_long() {
    for (setting, status, word) in [
        ("\"hold\"", 424, "in-doubt"),
        ("\"run\"", 200, "executed"),
        ("\"replay\"", 200, "replayed"),
    ] {
        let gate = Gate::new();
        let upstream = held(&gate, 4);
        let engine =
            with_rule(&format!("[[rule]]\npath = \"/pay\"\nundelivered = {setting}\n")).start();
        lose(&engine, &pay(&upstream, "k1"), Loss::Unread, &upstream, &gate);
        engine.send(&pay(&upstream, "k2")).assert_is(status, word);
    }
    let gate = Gate::new();
    let upstream = held(&gate, 4);
    let engine = with_rule("[proxy]\nundelivered_for = \"1ms\"\n").start();
    lose(&engine, &pay(&upstream, "k1"), Loss::Unread, &upstream, &gate);
    engine.send(&pay(&upstream, "k2")).assert_is(200, "executed");
}

/// The engine dies between the record and the answer.
#[test]
fn an_answer_that_the_engine_did_not_give_did_not_arrive() {
    let gate = Gate::new();
    let upstream = held(&gate, 4);
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(pay(&upstream, "k1").to_proxy()).unwrap();
    upstream.wait_for_hits(1);
    gate.open();
    wait_until("it is recorded", || {
        (engine.proxied().first()?["status"] == "completed").then_some(())
    });
    let engine = engine.kill_and_restart();
    drop(client);
    replayed_as_undelivered(&engine.send(&pay(&upstream, "k2")));
    assert_eq!(upstream.hits(), 1);
}

/// Over a crash, too, an answer that arrived makes the next call a new one.
#[test]
fn an_answer_that_arrived_before_a_crash_arrived() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    engine.send(&pay(&upstream, "k1")).assert_is(200, "executed");
    // A later commit takes the note along.
    let other = Request::post(&upstream.url("/pay"), "another").header("Agent-Session", "shop");
    engine.send(&other.key("k2")).assert_is(200, "executed");
    let engine = engine.kill_and_restart();
    engine.send(&pay(&upstream, "k3")).assert_is(200, "executed");
    assert_eq!(upstream.hits(), 3);
}

/// A key that was sent again, and whose first attempt may have run, holds its content all the time.
#[test]
fn content_is_held_while_a_second_attempt_runs() {
    let gate = Gate::new();
    let second = gate.clone();
    let first = AtomicBool::new(true);
    let upstream = Upstream::start(move |_, exchange| {
        if first.swap(false, Ordering::SeqCst) {
            return exchange.reset();
        }
        second.wait();
        exchange.answer(200, &[], b"done");
    });
    let engine = engine!().start();
    let first = engine.send(&pay(&upstream, "k1"));
    first.assert_is(502, "in-doubt");
    let token = first.header("idempotency-retry-token").unwrap().to_owned();
    let again = pay(&upstream, "k1").header("Idempotency-Retry-Token", &token);
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(again.to_proxy()).unwrap();
    upstream.wait_for_hits(2);
    let held = engine.send(&pay(&upstream, "k2"));
    held.assert_problem(424, "in-doubt");
    assert_eq!(held.parameter("reason"), Some("same-content"));
    gate.open();
    client.answer("POST").unwrap().assert_is(200, "executed");
    assert_eq!(upstream.hits(), 2);
}

/// A client may close its side behind its request and read on.
#[test]
fn a_client_that_half_closes_and_reads_has_got_its_answer() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    for n in 0..10 {
        let mut half = Client::connect(engine.proxy).unwrap();
        half.write(pay(&upstream, &format!("k{n}")).to_proxy()).unwrap();
        half.wire.stream.shutdown(Shutdown::Write).unwrap();
        half.answer("POST").unwrap().assert_is(200, "executed");
    }
    assert_eq!(upstream.hits(), 10);
}
