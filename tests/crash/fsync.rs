//! An answer is sent after its fsync, or not at all. A kill cannot show that, so the tests count fsyncs.

use std::cell::Cell;

use serde_json::{Value, json};
use testkit::{
    Builder, Engine, Gate, Request, Shim, Upstream, all_at_once, engine, engine_with_failpoints,
};

const CALLS: usize = 32;

/// An engine whose fsyncs are counted, and the counter.
fn watched(builder: Builder) -> (Builder, Shim) {
    let shim = Shim::build(builder.home());
    (shim.preload(builder), shim)
}

/// Each answer, with the number of fsyncs before it and the number that it needs.
fn fsyncs_before_answers(engine: &Engine, shim: &Shim) -> Vec<(String, u64, u64)> {
    let upstream = Upstream::echo();
    let mut found = Vec::new();
    let mut measure = |what: String, least: u64, act: &dyn Fn()| {
        let before = shim.syncs();
        act();
        found.push((what, shim.syncs() - before, least));
    };
    let (user, session, goal) = engine.goal("ada");
    for n in 0..10 {
        let post = Request::post(&upstream.url("/"), n.to_string());
        // The claim, then the outcome: two commits that cannot be one.
        measure(format!("POST {n}"), 2, &|| engine.send(&post).assert_is(200, "executed"));
        let put = Request::new("PUT", &upstream.url("/")).body(n.to_string());
        measure(format!("PUT {n}"), 1, &|| engine.send(&put).assert_is(200, "executed"));
        let call = |lease: bool| {
            engine.rpc(
                "execute_tool_idempotent",
                &json!({
                    "user_id": user, "session_id": session, "goal_id": goal, "tool_name": "t",
                    "tool_input": {"n": n, "lease": lease}, "lease": lease,
                }),
            )
        };
        measure(format!("execute {n}"), 1, &|| drop(call(false)));
        let claimed = Cell::new(Value::Null);
        measure(format!("claim {n}"), 1, &|| claimed.set(call(true)));
        let lease = claimed.into_inner()["lease"].take();
        let finish = json!({"lease": lease, "outcome": "executed", "output": n});
        measure(format!("finish {n}"), 1, &|| drop(engine.rpc("finish_tool_execution", &finish)));
        measure(format!("create_user {n}"), 1, &|| {
            engine.rpc("create_user", &json!({"username": format!("user {n}")}));
        });
    }
    found
}

fn too_few(found: &[(String, u64, u64)]) -> Vec<&(String, u64, u64)> {
    found.iter().filter(|(_, syncs, least)| syncs < least).collect()
}

#[test]
fn every_answer_comes_after_its_fsync() {
    let (builder, shim) = watched(engine!());
    let engine = builder.start();
    let found = fsyncs_before_answers(&engine, &shim);
    assert!(too_few(&found).is_empty(), "(what, fsyncs, least): {:#?}", too_few(&found));
}

#[test]
fn the_count_would_see_an_engine_that_does_not_sync() {
    let (builder, shim) = watched(engine_with_failpoints!());
    let engine = builder.env("STATE_ENGINE_TEST_SYNCHRONOUS", "normal").start();
    let found = fsyncs_before_answers(&engine, &shim);
    assert!(too_few(&found).len() > found.len() / 2, "{found:#?}");
}

#[test]
fn a_duplicate_costs_no_fsync() {
    let upstream = Upstream::echo();
    let (builder, shim) = watched(engine!());
    let engine = builder.start();
    let request = Request::post(&upstream.url("/"), "x");
    engine.send(&request).assert_is(200, "executed");
    let before = shim.syncs();
    for _ in 0..50 {
        engine.send(&request).assert_is(200, "replayed");
    }
    assert!(shim.syncs() - before <= 3, "{} fsyncs", shim.syncs() - before);
}

#[test]
fn calls_at_once_share_their_fsyncs() {
    let upstream = Upstream::echo();
    let (builder, shim) = watched(engine!());
    let engine = builder.start();
    shim.delay_us(5_000);
    let before = shim.syncs();
    let proxy = engine.proxy;
    all_at_once(CALLS, |i| {
        for n in 0..4 {
            let request = Request::post(&upstream.url("/"), format!("{i} {n}"));
            request.via(proxy).assert_is(200, "executed");
        }
    });
    let syncs = shim.syncs() - before;
    let calls = 4 * CALLS as u64;
    assert!(syncs < calls, "{syncs} fsyncs for {calls} calls of two commits each");
}

/// The engine exits by itself: it never repeats a failed fsync, because the pages only look clean.
fn ends_by_itself(engine: Engine, shim: &Shim) -> Builder {
    let (status, builder) = engine.wait();
    assert!(!status.success(), "it ended as if nothing had happened");
    assert!(status.code().is_some(), "it ended by itself, not by a signal: {status}");
    assert!(shim.failed() > 0);
    shim.stop_failing();
    builder
}

#[test]
fn a_failed_fsync_of_a_claim_sends_nothing() {
    let upstream = Upstream::echo();
    let (builder, shim) = watched(engine!());
    let engine = builder.start();
    shim.fail_nth(1);
    let proxy = engine.proxy;
    let answers =
        all_at_once(CALLS, |i| Request::post(&upstream.url("/"), i.to_string()).try_via(proxy));
    for answer in answers.into_iter().flatten() {
        assert!(answer.status >= 500 || !answer.whole, "an answer of a lost group: {answer:?}");
    }
    assert_eq!(upstream.hits(), 0, "sent before its intent was on disk");
    let engine = ends_by_itself(engine, &shim).start();
    engine.post(&upstream.url("/after"), "x").assert_is(200, "executed");
}

#[test]
fn a_failed_fsync_of_outcomes_answers_nobody() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |request, exchange| {
        held.wait();
        exchange.answer(200, &[], &request.body);
    });
    let (builder, shim) = watched(engine!());
    let engine = builder.start();
    let proxy = engine.proxy;
    let call = |i: usize| Request::post(&upstream.url("/"), i.to_string());
    let answers = std::thread::scope(|scope| {
        scope.spawn(|| {
            upstream.wait_for_hits(CALLS);
            shim.fail_nth(1);
            gate.open();
        });
        all_at_once(CALLS, |i| call(i).try_via(proxy))
    });
    for answer in answers.into_iter().flatten() {
        assert!(answer.status >= 500 || !answer.whole, "an answer of a lost group: {answer:?}");
    }
    let engine = ends_by_itself(engine, &shim).start();
    assert!(engine.executions(&json!({"origin": "proxy", "status": "running"})).is_empty());
    for i in 0..CALLS {
        // The kernel decides what a failed fsync leaves on disk. A second effect would be the engine's fault.
        let retry = engine.send(&call(i));
        assert!(["in-doubt", "replayed"].contains(&retry.word()), "{retry:?}");
    }
    assert_eq!(upstream.hits(), CALLS);
}

#[test]
fn whichever_fsync_fails_answered_calls_are_kept() {
    let (builder, shim) = watched(engine!());
    let engine = builder.start();
    let (user, session, goal) = engine.goal("ada");
    let mut builder = engine.kill();
    for n in 1..=10 {
        let engine = builder.start();
        shim.fail_nth(n);
        let acknowledged = all_at_once(8, |i| {
            let mut kept = Vec::new();
            for m in 0.. {
                let call = json!({
                    "jsonrpc": "2.0", "id": 1, "method": "execute_tool_idempotent",
                    "params": {
                        "user_id": user, "session_id": session, "goal_id": goal,
                        "tool_name": "t", "tool_input": [n, i, m],
                    }
                });
                let Ok(answer) = engine.try_rpc_text(&call.to_string()) else { break };
                if !answer.whole || answer.status != 200 {
                    break;
                }
                let answer = answer.json();
                match answer["result"]["id"].as_str() {
                    Some(id) => kept.push(id.to_owned()),
                    None => break,
                }
            }
            kept
        });
        builder = ends_by_itself(engine, &shim);
        let engine = builder.start();
        for id in acknowledged.into_iter().flatten() {
            engine.rpc("get_tool_execution", &json!({"id": id}));
        }
        engine.kill();
    }
}
