//! A rule with `repeat = "delivered"`: the same call is another one once the answer before it has
//! arrived, a retry while it has not, and a new run of the agent is answered from the record first.

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

/// The word of `Idempotency-Status`, by a connection of its own that is closed in good order.
#[track_caller]
fn send(engine: &Engine, request: &Request) -> String {
    word(&engine.send(request))
}

fn word(answer: &Response) -> String {
    let status = answer.header("idempotency-status").unwrap_or("-");
    status.split(';').next().unwrap_or_default().to_owned()
}

/// By a connection that is kept.
fn ask(client: &mut Client, request: &Request) -> Response {
    client.write(request.to_proxy()).unwrap();
    client.answer("POST").unwrap()
}

#[test]
fn on_off_on_acts_three_times_over_one_connection() {
    let upstream = Upstream::echo();
    let engine = builder().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    for (n, body) in ["on", "off", "on", "on"].into_iter().enumerate() {
        let answer = ask(&mut client, &post(&upstream, "1", body));
        answer.assert_is(200, "executed");
        assert_eq!(answer.text(), format!("{} POST /lamp {body}", n + 1));
    }
    assert_eq!(upstream.hits(), 4);
    let keys: std::collections::BTreeSet<_> = engine
        .proxied()
        .iter()
        .map(|execution| execution["idempotency_key"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(keys.len(), 4, "each has a key of its own: {keys:?}");
}

#[test]
fn a_connection_that_was_closed_in_good_order_has_delivered() {
    let upstream = Upstream::echo();
    let engine = builder().start();
    for n in 1..=5 {
        assert_eq!(send(&engine, &post(&upstream, "1", "on")), "executed", "{n}");
    }
    // Programs that nobody here wrote, with a connection a call.
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
fn an_answer_that_was_not_taken_is_given_again() {
    let upstream = Upstream::echo();
    let engine = builder().start();
    let request = post(&upstream, "1", "on");
    // It says that it will send no more, and is gone without having read a byte.
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

/// Closed with the answer unread, a connection is reset: so it is when its program was killed.
#[test]
fn a_connection_that_was_reset_has_not_delivered_in_a_tunnel_neither() {
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
fn a_client_that_hangs_up_gets_its_answer_by_the_retry() {
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

/// Killed before it could see the connection's end, the engine does not know of the delivery.
#[test]
fn a_restart_forgets_no_delivery_that_was_recorded() {
    let upstream = Upstream::echo();
    let engine = builder().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    ask(&mut client, &post(&upstream, "1", "on")).assert_is(200, "executed");
    ask(&mut client, &post(&upstream, "1", "on")).assert_is(200, "executed");
    // The connection is open: of the second answer nothing is known.
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
        let answer = ask(&mut client, &post(&upstream, "2", "on"));
        answer.assert_is(200, "replayed");
        assert_eq!(answer.text(), format!("{n} POST /lamp on"), "in order");
    }
    ask(&mut client, &post(&upstream, "2", "on")).assert_is(200, "executed");
    ask(&mut client, &post(&upstream, "2", "on")).assert_is(200, "executed");
    assert_eq!(upstream.hits(), 5);
}

#[test]
fn a_refusal_is_no_delivery_and_a_key_or_a_repeat_says_more() {
    let upstream = Upstream::start(|request, exchange| match request.body.as_slice() {
        b"bad" => exchange.answer(422, &[], b"no"),
        b"dark" => exchange.answer(500, &[], b"oh"),
        _ => exchange.answer(200, &[], b"done"),
    });
    let engine = builder().start();
    // Refused: the same execution is tried again, so that a restart finds one call and not two.
    for _ in 0..2 {
        assert_eq!(send(&engine, &post(&upstream, "1", "bad")), "not-executed");
    }
    assert_eq!(engine.proxied().len(), 1);
    // In doubt: nobody gets past it by asking again.
    assert_eq!(send(&engine, &post(&upstream, "1", "dark")), "in-doubt");
    engine.send(&post(&upstream, "1", "dark")).assert_is(424, "in-doubt");
    for header in ["Idempotency-Key", "Agent-Repeat"] {
        let request = post(&upstream, "1", "on").header(header, "x");
        assert_eq!(send(&engine, &request), "executed");
        assert_eq!(send(&engine, &request), "replayed", "{header}");
    }
}

/// `run` names each run by the proxy's credentials, which an unchanged program sends by itself.
#[test]
fn a_program_that_is_started_again_goes_on_where_it_stopped() {
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
    let said =
        |n: &[usize]| n.iter().map(|n| format!("{n} POST /lamp on\n")).collect::<Vec<_>>().concat();
    assert_eq!(run(&format!("{toggle}; exit 1").replace("1 2 3", "1 2")), said(&[1, 2]));
    assert_eq!(run(toggle), said(&[1, 2, 3]));
    assert_eq!(upstream.hits(), 3);
}
