//! The window of a key, the life of a key in the tool, and retention follow the wall clock, but not its
//! jumps.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Builder, Client, Engine, Request, Shim, Upstream, engine, wait_until};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn windows_end_when_their_time_has_passed() {
    let upstream = Upstream::echo();
    let builder = engine!();
    let shim = Shim::build(builder.home());
    let mut engine = shim.preload(builder).start();
    // Each path, with the time that its key is held.
    let calls = [
        (Request::post(&upstream.url("/act"), "x"), 10 * MINUTE),
        (Request::post(&upstream.url("/act"), "x").header("Agent-Session", "nightly"), DAY),
        (Request::post(&upstream.url("/act"), "x").key("order-7"), 30 * DAY),
    ];
    for (call, _) in &calls {
        engine.send(call).assert_is(200, "executed");
    }
    for (n, (over, window)) in calls.iter().enumerate() {
        shim.passed(window.saturating_sub(MINUTE));
        engine = engine.kill_and_restart();
        for (call, _) in &calls[n..] {
            engine.send(call).assert_is(200, "replayed");
        }
        shim.passed(*window + MINUTE);
        engine = engine.kill_and_restart();
        engine.send(over).assert_is(200, "executed");
        for (call, _) in &calls[n + 1..] {
            engine.send(call).assert_is(200, "replayed");
        }
    }
    assert_eq!(upstream.hits(), 2 * calls.len());
}

#[test]
fn no_jump_of_the_wall_clock_frees_a_key() {
    let upstream = Upstream::echo();
    let builder = engine!();
    let shim = Shim::build(builder.home());
    let mut engine = shim.preload(builder).start();
    let jumped = |engine: &Engine| engine.metric("state_engine_clock_jumped", &[]) > 0.0;
    let call = |n: usize| Request::post(&upstream.url("/act"), n.to_string());
    // Ahead of the machine's time, in minutes, and whether the engine is down while the clock jumps.
    let jumps: [(u32, bool); 7] = [
        (11, false),
        (22, true),
        (81, false),
        (140, true),
        (200, true),
        (100 * 1_440, false),
        (500 * 1_440, true),
    ];
    for (n, (ahead, down)) in jumps.into_iter().enumerate() {
        engine.send(&call(n)).assert_is(200, "executed");
        if down {
            let builder = engine.kill();
            shim.wall_ahead(ahead * MINUTE);
            engine = builder.start();
        } else {
            shim.wall_ahead(ahead * MINUTE);
        }
        for earlier in 0..=n {
            engine.send(&call(earlier)).assert_is(200, "replayed");
        }
        assert!(jumped(&engine), "the jump by {ahead} minutes is reported");
        let ready = engine.http(&Request::get(&format!("http://{}/readyz", engine.api)));
        assert!(ready.text().contains("the wall clock jumped forward"), "{}", ready.text());
    }
    assert_eq!(upstream.hits(), jumps.len());
    // What is wrong with the clock does not stop time.
    shim.passed(9 * MINUTE);
    engine.send(&call(0)).assert_is(200, "replayed");
    shim.passed(11 * MINUTE);
    for n in 0..jumps.len() {
        engine.send(&call(n)).assert_is(200, "executed");
    }
    assert_verified(&engine);
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_time() {
    let upstream = Upstream::echo();
    let builder = engine!();
    let shim = Shim::build(builder.home());
    shim.wall_ahead(5 * 60 * MINUTE);
    let mut engine = shim.preload(builder).start();
    let call = Request::post(&upstream.url("/act"), "x");
    engine.send(&call).assert_is(200, "executed");
    shim.wall_ahead(Duration::ZERO);
    for passed in [9, 20, 31] {
        shim.passed(passed * MINUTE);
        let expected = if passed == 9 { "replayed" } else { "executed" };
        engine.send(&call).assert_is(200, expected);
        engine.send(&call).assert_is(200, "replayed");
        engine = engine.kill_and_restart();
        engine.send(&call).assert_is(200, "replayed");
    }
    assert_eq!(upstream.hits(), 3);
    assert_verified(&engine);
}

/// An engine with these rules, and the shim that moves its clock.
fn ruled(rules: &str) -> (Builder, Shim) {
    let builder = engine!();
    let file = builder.home().join("engine.toml");
    std::fs::write(&file, rules).unwrap();
    let shim = Shim::build(builder.home());
    (shim.preload(builder.arg("--config").arg(file)), shim)
}

#[test]
fn no_restart_prolongs_the_life_of_a_key_in_the_tool() {
    let upstream = Upstream::start(|_, exchange| exchange.stall());
    let (builder, shim) = ruled("[[rule]]\neffect = \"keyed\"\n");
    let request = Request::post(&upstream.url("/pay"), "amount=1");
    for (sent, hours) in [(1, 0), (2, 11)] {
        shim.wall_ahead(hours * 60 * MINUTE);
        let engine = builder.start();
        let mut client = Client::connect(engine.proxy).unwrap();
        client.write(request.to_proxy()).unwrap();
        upstream.wait_for_hits(sent);
        engine.kill();
    }
    // Within 12 hours of the second send, but not of the first.
    shim.wall_ahead(13 * 60 * MINUTE);
    builder.start().send(&request).assert_problem(424, "in-doubt");
    assert_eq!(upstream.hits(), 2);
}

fn assert_verified(engine: &Engine) {
    let database = engine.builder().database_path().to_str().unwrap();
    let verified = engine.builder().cli(["verify", "--database", database]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}

#[test]
fn old_executions_are_dropped_unless_they_are_in_doubt() {
    let upstream = Upstream::start(|request, exchange| {
        let status = if request.target().ends_with("/doubt") { 500 } else { 200 };
        exchange.answer(status, &[], b"the answer");
    });
    let (builder, shim) = ruled("[[rule]]\nwindow = \"90d\"\n");
    let engine = builder.start();
    let act = Request::post(&upstream.url("/act"), "x");
    let doubt = Request::post(&upstream.url("/doubt"), "x");
    engine.send(&act).assert_is(200, "executed");
    let first = engine.send(&doubt);
    first.assert_is(500, "in-doubt");
    let id = first.header("agent-execution-id").unwrap();

    shim.passed(31 * DAY);
    let engine = engine.kill_and_restart();
    wait_until("the body is dropped", || (engine.send(&act).status == 410).then_some(()));
    engine.send(&act).assert_problem(410, "response-not-kept");
    let kept = engine.rpc("get_execution_detail", &json!({"id": id}));
    assert_eq!(kept["answer"]["body"]["text"], "the answer");
    assert_verified(&engine);

    shim.passed(432 * DAY);
    let engine = engine.kill_and_restart();
    let kinds = |of: Value| {
        let events = engine.rpc("list_events", &of);
        let events = events.as_array().unwrap_or_else(|| panic!("no list: {events}")).clone();
        events.iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = || kinds(json!({"limit": 100}));
    wait_until("old events are dropped", || all().contains(&"pruned".to_owned()).then_some(()));
    assert_eq!(all()[0], "claimed", "of the doubt");
    assert_eq!(kinds(json!({"execution_id": id}))[..2], ["claimed", "finished"]);
    assert_verified(&engine);
    let ran = json!({"id": id, "attempt": 1, "verdict": "executed", "evidence": "seen at last"});
    engine.rpc("resolve_tool_execution", &ran);

    let engine = engine.kill_and_restart();
    let kinds = |of: Value| engine.rpc("list_events", &of).to_string();
    wait_until("the settled doubt's events are dropped", || {
        (!kinds(json!({"execution_id": id})).contains("claimed")).then_some(())
    });
    assert!(kinds(json!({"execution_id": id})).contains("verdict"));
    assert_verified(&engine);
    assert_eq!(upstream.hits(), 2);
}
