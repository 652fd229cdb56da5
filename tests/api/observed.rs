//! Health and metrics: each number moves when what it counts happens.

use serde_json::json;
use testkit::{Engine, Request, engine};

fn get(engine: &Engine, path: &str) -> testkit::Response {
    engine.http(&Request::get(&format!("http://{}{path}", engine.api)))
}

#[test]
fn health_is_told() {
    let engine = engine!().arg("--no-proxy").start();
    let alive = get(&engine, "/healthz");
    assert_eq!((alive.status, alive.text().as_str()), (200, "ok\n"));
    let ready = get(&engine, "/readyz");
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["ready"], true);
    assert_eq!(ready.json()["problems"], json!([]));
    assert_eq!(ready.json()["proxy"], json!(null));
}

#[test]
fn each_metric_of_the_api_moves() {
    let engine = engine!().arg("--no-proxy").start();
    let (user, session, goal) = engine.goal("ada");
    let api = |method: &str, result: &str| {
        let labels = [format!("method=\"{method}\""), format!("result=\"{result}\"")];
        engine.metric("state_engine_api_requests_total", &[&*labels[0], &*labels[1]])
    };
    assert_eq!(api("create_user", "ok") as u32, 1);
    engine.try_rpc("create_user", &json!({"username": "ada"})).unwrap_err();
    assert_eq!(api("create_user", "error") as u32, 1);
    engine.try_rpc("no such method \"}\n", &json!({})).unwrap_err();
    assert_eq!(api("unknown", "error") as u32, 1);

    let metric = |name: &str| engine.metric(&format!("state_engine_{name}"), &[]);
    let before =
        ["events_total", "store_commit_seconds_count", "store_commit_seconds_sum"].map(metric);
    let call = json!({
        "user_id": user, "session_id": session, "goal_id": goal, "tool_name": "t",
        "tool_input": {}, "lease": true,
    });
    let claim = engine.rpc("execute_tool_idempotent", &call);
    assert_eq!(metric("calls_unresolved") as u32, 0);
    let finish = json!({"lease": claim["lease"], "outcome": "unknown"});
    engine.rpc("finish_tool_execution", &finish);
    assert_eq!(metric("calls_unresolved") as u32, 1);
    let after =
        ["events_total", "store_commit_seconds_count", "store_commit_seconds_sum"].map(metric);
    for (before, after) in before.into_iter().zip(after) {
        assert!(after > before, "{before} {after}");
    }
    assert!(metric("store_size_bytes") > 0.0 && metric("wal_size_bytes") > 0.0);
    let answer = get(&engine, "/metrics");
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"));
    assert!(text.contains("state_engine_build_info{version=\"0.2.0\""), "{text}");
    for secret in [&*user, &*session, &*goal, "ada"] {
        assert!(!text.contains(secret), "no id is a label: {secret}");
    }
}
