//! One effect through the state API: however many callers claim, however often, exactly one gets the lease.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Engine, all_at_once, engine};

struct Tool {
    user: String,
    session: String,
    goal: String,
}

impl Tool {
    fn new(engine: &Engine) -> Self {
        let (user, session, goal) = engine.goal("ada");
        Self { user, session, goal }
    }

    fn call(&self, input: &Value, more: &Value) -> Value {
        let mut params = json!({
            "user_id": self.user,
            "session_id": self.session,
            "goal_id": self.goal,
            "tool_name": "send_email",
            "tool_input": input,
        });
        for (name, value) in more.as_object().unwrap() {
            params[name] = value.clone();
        }
        params
    }
}

fn execute(engine: &Engine, params: &Value) -> Value {
    engine.rpc("execute_tool_idempotent", params)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[test]
fn a_hundred_racing_callers_get_one_execution_and_after_a_crash_the_same() {
    let engine = engine!().start();
    let tool = Tool::new(&engine);
    let params = tool.call(&json!({"to": "ada"}), &json!({"idempotency_key": "welcome-1"}));
    let answers = all_at_once(100, |_| execute(&engine, &params));
    let id = text(&answers[0]["id"]);
    assert!(answers.iter().all(|answer| answer["id"] == *id), "{answers:#?}");
    assert_eq!(answers.iter().filter(|answer| answer["duplicate"] == false).count(), 1);

    let engine = engine.kill_and_restart();
    let again = all_at_once(100, |_| execute(&engine, &params));
    assert!(again.iter().all(|answer| answer["id"] == *id && answer["duplicate"] == true));
    let listed = engine.rpc("list_tool_executions", &json!({"goal_id": tool.goal}));
    assert_eq!(listed.as_array().unwrap().len(), 1);
}

#[test]
fn a_hundred_racing_callers_get_one_lease_and_the_others_its_result() {
    let engine = engine!().start();
    let tool = Tool::new(&engine);
    for key in [json!({"idempotency_key": "welcome-1"}), json!({})] {
        let mut more = key.clone();
        more["lease"] = json!(true);
        more["wait_ms"] = json!(30_000);
        let params = tool.call(&json!({"to": "ada"}), &more);
        let answers = all_at_once(100, |_| {
            let answer = execute(&engine, &params);
            if answer["claim"] == "execute" {
                std::thread::sleep(Duration::from_millis(100));
                let finish = json!({
                    "lease": answer["lease"], "outcome": "executed", "output": {"message": 7}
                });
                engine.rpc("finish_tool_execution", &finish);
            }
            answer
        });
        let claims = |claim: &str| answers.iter().filter(|answer| answer["claim"] == claim).count();
        assert_eq!((claims("execute"), claims("replay")), (1, 99), "{answers:#?}");
        for answer in answers.iter().filter(|answer| answer["claim"] == "replay") {
            assert_eq!(answer["status"], "completed");
            assert_eq!(answer["output"], json!({"message": 7}));
            assert!(answer["lease"].is_null());
        }
    }
    assert_eq!(engine.executions(&json!({"origin": "api"})).len(), 2);
}

#[test]
fn a_hundred_racing_callers_get_one_lease_over_a_crash_and_the_result_after_another() {
    let engine = engine!().start();
    let tool = Tool::new(&engine);
    let params = |wait: u32| {
        let more = json!({"idempotency_key": "welcome-1", "lease": true, "wait_ms": wait});
        tool.call(&json!({"to": "ada"}), &more)
    };
    let answers = all_at_once(100, |_| execute(&engine, &params(0)));
    let leased: Vec<_> = answers.iter().filter(|answer| answer["claim"] == "execute").collect();
    assert_eq!(leased.len(), 1, "{answers:#?}");
    assert!(answers.iter().filter(|answer| answer["claim"] == "busy").count() == 99);

    let engine = engine.kill_and_restart();
    let finish = json!({"lease": leased[0]["lease"], "outcome": "executed", "output": 7});
    // One of the hundred holds the lease, and finishes while the others claim again.
    let answers = all_at_once(100, |n| match n {
        0 => engine.rpc("finish_tool_execution", &finish),
        _ => execute(&engine, &params(30_000)),
    });
    let replayed = |answers: &[Value]| {
        answers.iter().filter(|one| one["claim"] == "replay" && one["output"] == 7).count()
    };
    assert_eq!((&answers[0]["status"], replayed(&answers[1..])), (&json!("completed"), 99));

    let engine = engine.kill_and_restart();
    let answers = all_at_once(100, |_| execute(&engine, &params(0)));
    assert_eq!(replayed(&answers), 100, "{answers:#?}");
    assert_eq!(engine.executions(&json!({"origin": "api"})).len(), 1);
}

#[test]
fn a_caller_that_does_not_wait_gets_busy() {
    let engine = engine!().start();
    let tool = Tool::new(&engine);
    let leased = tool.call(&json!({"n": 1}), &json!({"idempotency_key": "a", "lease": true}));
    assert_eq!(execute(&engine, &leased)["claim"], "execute");
    let busy = execute(&engine, &leased);
    assert_eq!((&busy["claim"], &busy["reason"]), (&json!("busy"), &json!("leased")), "{busy}");
    let left = busy["lease_left_ms"].as_u64().unwrap();
    assert!((1..=60_000).contains(&left), "{busy}");

    execute(&engine, &tool.call(&json!({"n": 1}), &json!({"idempotency_key": "b"})));
    let unleased = tool.call(&json!({"n": 1}), &json!({"idempotency_key": "b", "lease": true}));
    let busy = execute(&engine, &unleased);
    assert_eq!((&busy["claim"], &busy["reason"]), (&json!("busy"), &json!("unleased")), "{busy}");
    assert_eq!(busy["lease_left_ms"], Value::Null, "nobody knows: {busy}");
}

#[test]
fn only_the_holder_gets_its_lease_again() {
    let engine = engine!().start();
    let tool = Tool::new(&engine);
    let params = |claim_id: &str| {
        tool.call(&json!({}), &json!({"idempotency_key": "k", "lease": true, "claim_id": claim_id}))
    };
    let first = execute(&engine, &params("mine"));
    assert_eq!(first["claim"], "execute");
    assert_eq!(execute(&engine, &params("theirs"))["claim"], "busy");
    let engine = engine.kill_and_restart();
    let again = execute(&engine, &params("mine"));
    assert_eq!(again["claim"], "execute", "its first answer may have been lost: {again}");
    assert_eq!(execute(&engine, &params("theirs"))["claim"], "busy");
    let finish = json!({"lease": again["lease"], "outcome": "executed", "output": 1});
    engine.rpc("finish_tool_execution", &finish);
    let replay = execute(&engine, &params("theirs"));
    assert_eq!((&replay["claim"], &replay["output"]), (&json!("replay"), &json!(1)));
}

#[test]
fn each_outcome_leads_to_its_status() {
    let engine = engine!().start();
    let tool = Tool::new(&engine);
    let cases = [
        (json!({"outcome": "executed", "output": {"ok": true}}), "completed", "replay"),
        (json!({"outcome": "executed", "error": "no such mailbox"}), "failed", "replay"),
        (json!({"outcome": "not_executed", "error": "no network"}), "failed", "execute"),
        (json!({"outcome": "unknown"}), "in_doubt", "in_doubt"),
    ];
    for (n, (outcome, status, next)) in cases.iter().enumerate() {
        let params = tool.call(&json!({"n": n}), &json!({"lease": true}));
        let first = execute(&engine, &params);
        assert_eq!((&first["claim"], &first["attempt"]), (&json!("execute"), &json!(1)), "{first}");
        let mut finish = outcome.clone();
        finish["lease"] = first["lease"].clone();
        let finished = engine.rpc("finish_tool_execution", &finish);
        assert_eq!(finished["status"], *status, "{outcome}");
        // The same finish again returns the stored execution.
        assert_eq!(engine.rpc("finish_tool_execution", &finish)["status"], *status, "{outcome}");
        let engine_says = execute(&engine, &params);
        assert_eq!(engine_says["claim"], *next, "{outcome}");
        assert_eq!(engine_says["id"], first["id"]);
        let attempt = if *next == "execute" { 2 } else { 1 };
        assert_eq!(engine_says["attempt"], attempt);
    }
}

#[test]
fn another_outcome_for_a_finished_lease_is_stale() {
    let engine = engine!().start();
    let tool = Tool::new(&engine);
    let first = execute(&engine, &tool.call(&json!({}), &json!({"lease": true})));
    let finish = |outcome: &str| {
        engine
            .try_rpc("finish_tool_execution", &json!({"lease": first["lease"], "outcome": outcome}))
    };
    assert_eq!(finish("executed").unwrap()["status"], "completed");
    let stale = finish("not_executed").unwrap_err();
    assert_eq!((stale.code, &stale.data["code"]), (-32013, &json!("STALE")), "{stale:?}");
    let kept = engine.rpc("get_tool_execution", &json!({"id": first["id"]}));
    assert_eq!(kept["status"], "completed");
}

#[test]
fn an_expired_lease_is_in_doubt_and_its_late_finish_counts() {
    let engine = engine!().start();
    let tool = Tool::new(&engine);
    let params = tool.call(&json!({}), &json!({"lease": true, "lease_ms": 1_000}));
    let first = execute(&engine, &params);
    let id = text(&first["id"]);
    let waited = engine.rpc("await_tool_execution", &json!({"id": id, "timeout_ms": 20_000}));
    assert_eq!(waited["status"], "in_doubt", "{waited}");
    assert_eq!(execute(&engine, &params)["claim"], "in_doubt", "never free again by time");
    let finish = json!({"lease": first["lease"], "outcome": "executed", "output": "sent"});
    assert_eq!(engine.rpc("finish_tool_execution", &finish)["status"], "completed");
    let replay = execute(&engine, &params);
    assert_eq!((&replay["claim"], &replay["output"]), (&json!("replay"), &json!("sent")));
}

#[test]
fn an_extended_lease_stays_valid_and_revives_its_execution() {
    let engine = engine!().start();
    let tool = Tool::new(&engine);
    let params = tool.call(&json!({}), &json!({"lease": true, "lease_ms": 1_000}));
    let first = execute(&engine, &params);
    let id = text(&first["id"]);
    engine.rpc("await_tool_execution", &json!({"id": id, "timeout_ms": 20_000}));
    let extend = json!({"lease": first["lease"], "lease_ms": 60_000});
    assert_eq!(engine.rpc("extend_lease", &extend)["status"], "running");
    assert_eq!(execute(&engine, &params)["claim"], "busy");
    engine.rpc("finish_tool_execution", &json!({"lease": first["lease"], "outcome": "executed"}));
    let lost = engine.try_rpc("extend_lease", &extend).unwrap_err();
    assert_eq!((lost.code, &lost.data["code"]), (-32017, &json!("LEASE_LOST")), "{lost:?}");
}

#[test]
fn leases_survive_a_crash() {
    let engine = engine!().start();
    let tool = Tool::new(&engine);
    let params = tool.call(&json!({}), &json!({"idempotency_key": "k", "lease": true}));
    let first = execute(&engine, &params);
    let engine = engine.kill_and_restart();
    assert_eq!(execute(&engine, &params)["claim"], "busy");
    let finish = json!({"lease": first["lease"], "outcome": "executed", "output": 1});
    assert_eq!(engine.rpc("finish_tool_execution", &finish)["status"], "completed");
    let engine = engine.kill_and_restart();
    let replay = execute(&engine, &params);
    assert_eq!((&replay["claim"], &replay["output"]), (&json!("replay"), &json!(1)));
}

#[test]
fn a_verdict_that_a_late_finish_overrides_is_kept_in_the_log() {
    let engine = engine!().start();
    let tool = Tool::new(&engine);
    let first =
        execute(&engine, &tool.call(&json!({}), &json!({"lease": true, "lease_ms": 1_000})));
    let id = text(&first["id"]);
    engine.rpc("await_tool_execution", &json!({"id": id, "timeout_ms": 20_000}));
    let verdict = json!({
        "id": id, "attempt": 1, "verdict": "not_executed", "evidence": "the outbox is empty"
    });
    assert_eq!(engine.rpc("resolve_tool_execution", &verdict)["status"], "failed");
    let finish = json!({"lease": first["lease"], "outcome": "executed", "output": "sent"});
    assert_eq!(engine.rpc("finish_tool_execution", &finish)["status"], "completed");
    let events = engine.rpc("list_events", &json!({"execution_id": id})).to_string();
    assert!(events.contains("verdict-overturned"), "{events}");
}

#[test]
fn numbers_and_members_come_back_byte_for_byte() {
    let engine = engine!().start();
    let tool = Tool::new(&engine);
    let odd =
        r#"{"n":123456789012345678901234567890,"x":1.00000000000000000001,"a":1,"a":2,"e":1E5}"#;
    let call = |key: &str, input: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"execute_tool_idempotent","params":{{"user_id":"{}","session_id":"{}","goal_id":"{}","tool_name":"t","tool_input":{input},"idempotency_key":"{key}"}}}}"#,
            tool.user, tool.session, tool.goal
        )
    };
    let first = engine.try_rpc_text(&call("k", odd)).unwrap().text();
    assert!(first.contains(odd), "{first}");
    let engine = engine.kill_and_restart();
    let again = engine.try_rpc_text(&call("k", odd)).unwrap().text();
    assert!(again.contains(odd) && again.contains(r#""input_mismatch":false"#), "{again}");
    let other = odd.replace("67890,", "67891,");
    let mismatch = engine.try_rpc_text(&call("k", &other)).unwrap().text();
    assert!(mismatch.contains(r#""input_mismatch":true"#), "{mismatch}");
    assert!(mismatch.contains(odd), "same key, same result: {mismatch}");
}

#[test]
fn a_mismatch_never_gets_a_lease_and_is_an_error_on_request() {
    let engine = engine!().start();
    let tool = Tool::new(&engine);
    let call = |input: i32, more: &Value| {
        let mut all = json!({"idempotency_key": "k"});
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        tool.call(&json!({"n": input}), &all)
    };
    execute(&engine, &call(1, &json!({})));
    let other = execute(&engine, &call(2, &json!({"lease": true})));
    assert_eq!(
        (&other["input_mismatch"], &other["claim"]),
        (&json!(true), &json!("busy")),
        "{other}"
    );
    assert!(other["lease"].is_null());
    let refused = engine
        .try_rpc("execute_tool_idempotent", &call(2, &json!({"on_mismatch": "error"})))
        .unwrap_err();
    assert_eq!((refused.code, &refused.data["code"]), (-32004, &json!("KEY_REUSE")), "{refused:?}");
}

#[test]
fn a_busy_caller_learns_how_long_the_lease_lasts() {
    let engine = engine!().start();
    let tool = Tool::new(&engine);
    let lease = |ms: u64, wait: u64| {
        let more = json!({"idempotency_key": format!("k-{ms}"), "lease": true, "lease_ms": ms,
                          "wait_ms": wait});
        execute(&engine, &tool.call(&json!({}), &more))
    };
    for ms in [30_000, 600_000, 3_600_000] {
        assert_eq!(lease(ms, 0)["claim"], "execute");
        let left = lease(ms, 0)["lease_left_ms"].as_u64().unwrap();
        assert!(left <= ms && left > ms / 2, "{left} of {ms}");
    }
    // One that was extended while the caller waited lasts longer than it did when the wait began.
    let first = lease(20_000, 0);
    let longer = json!({"lease": first["lease"], "lease_ms": 3_600_000});
    let waited = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| lease(20_000, 300));
        engine.rpc("extend_lease", &longer);
        waiting.join().unwrap()
    });
    assert_eq!(waited["claim"], "busy");
    assert!(waited["lease_left_ms"].as_u64().unwrap() > 3_000_000, "{waited}");
}

#[test]
fn a_blank_key_is_refused() {
    let engine = engine!().start();
    let tool = Tool::new(&engine);
    for blank in ["", " ", "\t\n", "\u{a0}", "\u{200b}\u{feff}"] {
        let params = tool.call(&json!({}), &json!({"idempotency_key": blank}));
        let refused = engine.try_rpc("execute_tool_idempotent", &params).unwrap_err();
        assert_eq!((refused.code, &refused.data["field"]), (-32_602, &json!("idempotency_key")));
        let message = "idempotency_key: must not be blank: leave it out, or send 1 to 255 characters \
                       that are not only spaces";
        assert!(refused.message.contains(message), "{refused:?}");
    }
    assert!(engine.executions(&json!({})).is_empty());
    execute(&engine, &tool.call(&json!({}), &json!({"idempotency_key": " k "})));
}
