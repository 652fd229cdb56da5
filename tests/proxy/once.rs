//! One effect: identical calls that race, are retried or come again after a crash reach the tool once.

use std::time::Duration;

use testkit::{
    Client, Exchange, Gate, Received, Request, Upstream, all_at_once, engine, wait_until,
};

fn after_gate(gate: &Gate) -> impl Fn(&Received, &mut Exchange) + Send + Sync + 'static {
    let gate = gate.clone();
    move |_, exchange| {
        gate.wait();
        exchange.answer(201, &[("X-Tool", "mail"), ("Content-Type", "text/plain")], b"sent: 1");
    }
}

#[test]
fn a_hundred_racing_calls_are_one_effect_and_after_a_crash_still_one() {
    let gate = Gate::new();
    let upstream = Upstream::start(after_gate(&gate));
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/send"), "to=ada");

    let opener = {
        let (gate, upstream) = (gate.clone(), upstream.clone());
        std::thread::spawn(move || {
            upstream.wait_for_hits(1);
            std::thread::sleep(Duration::from_millis(200));
            gate.open();
        })
    };
    let proxy = engine.proxy;
    let answers = all_at_once(100, |_| request.via(proxy));
    opener.join().unwrap();

    assert_eq!(upstream.hits(), 1);
    let executions = engine.proxied();
    assert_eq!(executions.len(), 1, "{executions:#?}");
    assert_eq!(executions[0]["status"], "completed");
    let id = executions[0]["id"].as_str().unwrap();
    for answer in &answers {
        assert_eq!((answer.status, answer.text().as_str()), (201, "sent: 1"), "{answer:?}");
        assert_eq!(answer.header("x-tool"), Some("mail"));
        assert_eq!(answer.header("agent-execution-id"), Some(id));
    }
    let count = |word: &str| answers.iter().filter(|answer| answer.word() == word).count();
    assert_eq!(count("executed"), 1);
    assert_eq!(count("executed") + count("coalesced") + count("replayed"), 100);

    let engine = engine.kill_and_restart();
    let proxy = engine.proxy;
    let again = all_at_once(100, |_| request.via(proxy));
    assert_eq!(upstream.hits(), 1);
    for answer in &again {
        answer.assert_is(201, "replayed");
        assert_eq!(answer.header("idempotent-replayed"), Some("true"));
        assert_eq!(answer.upstream_fields(), answers[0].upstream_fields());
        assert_eq!(answer.body, answers[0].body);
    }
}

#[test]
fn different_calls_do_not_wait_for_each_other() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |request, exchange| {
        if request.body == b"held" {
            held.wait();
        }
        exchange.answer(200, &[], &request.body);
    });
    let engine = engine!().start();
    let (proxy, url) = (engine.proxy, upstream.url("/"));
    let slow = {
        let url = url.clone();
        std::thread::spawn(move || Request::post(&url, "held").via(proxy))
    };
    upstream.wait_for_hits(1);
    for i in 0..20 {
        let body = format!("call {i}");
        assert_eq!(engine.post(&url, &body).text(), body);
    }
    gate.open();
    assert_eq!(slow.join().unwrap().text(), "held");
    assert_eq!(upstream.hits(), 21);
}

#[test]
fn a_client_that_hangs_up_cancels_nothing() {
    let gate = Gate::new();
    let upstream = Upstream::start(after_gate(&gate));
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/send"), "to=ada");

    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(request.to_proxy()).unwrap();
    upstream.wait_for_hits(1);
    drop(client);
    gate.open();

    wait_until("the call is recorded", || {
        let executions = engine.proxied();
        (executions.first()?["status"] == "completed").then_some(())
    });
    engine.send(&request).assert_is(201, "replayed");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_retry_while_the_first_try_runs_waits_for_its_answer() {
    let gate = Gate::new();
    let upstream = Upstream::start(after_gate(&gate));
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/send"), "to=ada").key("welcome-1");

    let mut first = Client::connect(engine.proxy).unwrap();
    first.write(request.to_proxy()).unwrap();
    upstream.wait_for_hits(1);
    drop(first);
    let mut retry = Client::connect(engine.proxy).unwrap();
    retry.write(request.to_proxy()).unwrap();
    gate.open();
    let answer = retry.answer("POST").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (201, "sent: 1"));
    assert!(["coalesced", "replayed"].contains(&answer.word()), "{answer:?}");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_client_that_shuts_its_write_side_gets_its_answer() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(Request::post(&upstream.url("/"), "half").to_proxy()).unwrap();
    client.wire.stream.shutdown(std::net::Shutdown::Write).unwrap();
    client.answer("POST").unwrap().assert_is(200, "executed");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_crash_while_the_tool_runs_leaves_the_call_in_doubt() {
    let gate = Gate::new();
    let upstream = Upstream::start(after_gate(&gate));
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/send"), "to=ada");
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(request.to_proxy()).unwrap();
    upstream.wait_for_hits(1);

    let engine = engine.kill_and_restart();
    assert!(client.answer("POST").is_err(), "the connection died with the engine");
    let executions = engine.proxied();
    assert_eq!(executions[0]["status"], "in_doubt", "{executions:#?}");
    let retry = engine.send(&request);
    retry.assert_problem(424, "in-doubt");
    assert_eq!(upstream.hits(), 1);
    gate.open();
}

#[test]
fn a_graceful_shutdown_ends_with_status_0_and_loses_nothing() {
    let gate = Gate::new();
    let upstream = Upstream::start(after_gate(&gate));
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/send"), "to=ada");
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(request.to_proxy()).unwrap();
    upstream.wait_for_hits(1);
    engine.terminate();
    wait_until("no new connection is accepted", || Client::connect(engine.proxy).err());
    gate.open();
    client.answer("POST").unwrap().assert_is(201, "executed");
    let (status, builder) = engine.wait();
    assert_eq!(status.code(), Some(0));
    let engine = builder.start();
    engine.send(&request).assert_is(201, "replayed");
    assert_eq!(upstream.hits(), 1);
}
