//! Health and metrics. tests/serve/metrics.rs shows that each metric moves.

use serde_json::json;
use testkit::{Engine, Request, engine};

fn get(engine: &Engine, path: &str) -> testkit::Response {
    engine.http(&Request::get(&format!("http://{}{path}", engine.api)))
}

#[test]
fn health_is_reported() {
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
fn metrics_are_labelled_by_method_but_not_by_id() {
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

    let answer = get(&engine, "/metrics");
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"));
    for secret in [&*user, &*session, &*goal, "ada"] {
        assert!(!text.contains(secret), "no id is a label: {secret}");
    }
}
