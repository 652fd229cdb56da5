//! Leases that run out together.

use serde_json::{Value, json};
use testkit::{Engine, Upstream, engine, wait_until};

const LEASES: usize = 3_000;
/// How many calls a batch has at most.
const BATCH: usize = 100;

/// Claims so many calls of one goal, by batches.
fn claim_all(engine: &Engine) {
    let (user, session, goal) = engine.goal("ada");
    let claim = |n: usize| {
        let params = json!({
            "user_id": user, "session_id": session, "goal_id": goal, "tool_name": "t",
            "tool_input": {"n": n}, "lease": true, "lease_ms": 5_000,
        });
        json!({"jsonrpc": "2.0", "id": n, "method": "execute_tool_idempotent", "params": params})
    };
    for from in (0..LEASES).step_by(BATCH) {
        let batch: Vec<_> = (from..from + BATCH).map(claim).collect();
        let answer = engine.try_rpc_text(&json!(batch).to_string()).unwrap();
        let answers: Vec<Value> = serde_json::from_str(&answer.text()).unwrap();
        assert!(answers.iter().all(|answer| answer["result"]["lease"].is_string()), "{answers:?}");
    }
}

#[test]
fn thousands_that_run_out_at_once_end_in_a_few_commits() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    claim_all(&engine);
    // After a start each has its full time again, from the same moment on.
    let engine = engine.kill_and_restart();
    let commits = || engine.metric("state_engine_store_commit_seconds_count", &[]);
    let in_doubt = || engine.metric("state_engine_calls_unresolved", &[]) as usize;
    let before = commits();
    let mut calls = 0_u32;
    wait_until("all leases have run out", || {
        engine.post(&upstream.url("/act"), &calls.to_string()).assert_is(200, "executed");
        calls += 1;
        (in_doubt() == LEASES).then_some(())
    });
    // Two for a call, and one a second for what housekeeping does.
    let own = f64::from(2 * calls) + 60.0;
    let ends = commits() - before - own;
    assert!(ends < LEASES as f64 / 20.0, "{ends} commits ended {LEASES} leases");
}
