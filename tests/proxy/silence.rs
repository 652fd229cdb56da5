//! Tools that are silent for too long: their callers are given up, and their answers still count.

use std::fs;
use std::thread;

use serde_json::json;
use testkit::{Engine, Exchange, Gate, Request, Upstream, engine, wait_until};

fn configured(toml: &str) -> Engine {
    let builder = engine!();
    let file = builder.home().join("engine.toml");
    fs::write(&file, format!("[proxy]\nsilence = \"200ms\"\n{toml}")).unwrap();
    builder.arg("--config").arg(file).start()
}

/// Answers in two parts, with a silence before the first (`/head/…`) or between both; what follows in the
/// path is the status. The second part waits for the gate.
fn slow(gate: &Gate) -> Upstream {
    let shut = gate.clone();
    Upstream::start(move |request, exchange| {
        let path = request.target().to_owned();
        let mut parts = path.split('/').skip(1);
        let (how, status) = (parts.next().unwrap(), parts.next().unwrap().parse().unwrap());
        let kind = match how {
            "stream" => "application/x-ndjson",
            _ => "text/plain",
        };
        let begin = |exchange: &mut Exchange| {
            exchange.begin_chunked(status, &[("Content-Type", kind)]);
            exchange.chunk("half ");
        };
        if how == "head" {
            shut.wait();
            begin(exchange);
        } else {
            begin(exchange);
            shut.wait();
        }
        exchange.chunk("done");
        exchange.end_chunked(&[]);
    })
}

fn status_of(engine: &Engine, id: &str) -> String {
    let execution = engine.rpc("get_tool_execution", &json!({ "id": id }));
    execution["status"].as_str().unwrap().to_owned()
}

#[test]
fn a_late_answer_settles_the_doubt() {
    let gate = Gate::new();
    let upstream = slow(&gate);
    let engine = configured("");
    let cases = [
        ("/head/200", "completed"),
        ("/body/200", "completed"),
        ("/stream/200", "completed"),
        ("/head/422", "failed"),
        ("/body/422", "failed"),
        ("/head/500", "in_doubt"),
    ];
    let mut ids = Vec::new();
    for (path, _) in cases {
        let first = engine.post(&upstream.url(path), "a");
        if path.starts_with("/stream") {
            assert!(!first.whole, "{first:?}");
        } else {
            first.assert_problem(504, "upstream-timeout");
            assert_eq!(first.word(), "in-doubt");
        }
        ids.push(first.header("agent-execution-id").unwrap().to_owned());
        engine.post(&upstream.url(path), "a").assert_problem(424, "in-doubt");
    }
    assert_eq!(upstream.hits(), cases.len());
    gate.open();
    for ((path, status), id) in cases.iter().zip(&ids) {
        wait_until(path, || (status_of(&engine, id) == *status).then_some(()));
    }
    for (path, status) in cases {
        let again = engine.post(&upstream.url(path), "a");
        match status {
            "completed" => {
                again.assert_is(200, "replayed");
                assert_eq!(again.text(), "half done");
            }
            "failed" => again.assert_is(422, "not-executed"),
            _ => again.assert_problem(424, "in-doubt"),
        }
    }
    let problems = engine.builder().cli(
        ["verify", "--database"].map(str::to_owned).into_iter().chain([engine
            .builder()
            .database_path()
            .display()
            .to_string()]),
    );
    assert!(problems.status.success(), "{problems:?}");
}

#[test]
fn a_late_answer_is_evidence_against_a_verdict() {
    let gate = Gate::new();
    let upstream = slow(&gate);
    let engine = configured("");
    let first = engine.post(&upstream.url("/head/200"), "a");
    first.assert_problem(504, "upstream-timeout");
    let id = first.header("agent-execution-id").unwrap();
    engine.rpc(
        "resolve_tool_execution",
        &json!({"id": id, "attempt": 1, "verdict": "not_executed", "evidence": "not in the ledger"}),
    );
    gate.open();
    wait_until("the answer overturns it", || (status_of(&engine, id) == "completed").then_some(()));
    let events = engine.rpc("list_events", &json!({"execution_id": id})).to_string();
    assert!(
        events.contains("verdict-overturned") || events.contains("verdict_overturned"),
        "{events}"
    );
    engine.post(&upstream.url("/head/200"), "a").assert_is(200, "replayed");
}

#[test]
fn a_late_answer_of_an_older_attempt_is_only_logged() {
    let gate = Gate::new();
    let upstream = slow(&gate);
    let engine = configured("");
    let request = Request::post(&upstream.url("/head/200"), "a");
    let first = engine.send(&request);
    first.assert_problem(504, "upstream-timeout");
    let id = first.header("agent-execution-id").unwrap();
    let token = first.header("idempotency-retry-token").unwrap();
    let second = engine.send(&request.clone().header("Idempotency-Retry-Token", token));
    second.assert_problem(504, "upstream-timeout");
    assert_eq!(second.parameter("attempt"), Some("2"));
    gate.open();
    wait_until("both answers came", || {
        let events = engine.rpc("list_events", &json!({"execution_id": id})).to_string();
        let logged = events.contains("possible-duplicate") || events.contains("possible_duplicate");
        (logged && status_of(&engine, id) == "completed").then_some(())
    });
}

#[test]
fn a_rule_lets_a_tool_be_silent_for_longer() {
    let gate = Gate::new();
    let upstream = slow(&gate);
    let engine = configured("[[rule]]\npath = \"/*/201\"\nsilence = \"30s\"\n");
    thread::scope(|scope| {
        let patient: Vec<_> = ["/head/201", "/body/201"]
            .map(|path| {
                let (engine, upstream) = (&engine, &upstream);
                scope.spawn(move || engine.post(&upstream.url(path), "a"))
            })
            .into_iter()
            .collect();
        upstream.wait_for_hits(2);
        // The usual silence has passed for those two when it has passed for this one.
        engine.post(&upstream.url("/head/200"), "a").assert_problem(504, "upstream-timeout");
        gate.open();
        for answer in patient {
            answer.join().unwrap().assert_is(201, "executed");
        }
    });
}

#[test]
fn a_late_answer_is_not_waited_for_without_end() {
    let gone = Gate::new();
    let left = gone.clone();
    let upstream = Upstream::start(move |_, exchange| {
        wait_until("the engine hangs up", || {
            (!exchange.peer_is_there().unwrap_or(false)).then_some(())
        });
        left.open();
    });
    let engine = configured("late = \"200ms\"\n");
    engine.post(&upstream.url("/"), "a").assert_problem(504, "upstream-timeout");
    gone.wait();
    engine.post(&upstream.url("/"), "a").assert_problem(424, "in-doubt");
    assert_eq!(upstream.hits(), 1);
}

/// An answer that is waited for does not hold up the shutdown.
#[test]
fn the_engine_ends_without_a_late_answer() {
    let gate = Gate::new();
    let upstream = slow(&gate);
    let engine = configured("");
    engine.post(&upstream.url("/head/200"), "a").assert_problem(504, "upstream-timeout");
    engine.terminate();
    let (status, builder) = engine.wait();
    assert!(status.success(), "{status}");
    let engine = builder.start();
    engine.post(&upstream.url("/head/200"), "a").assert_problem(424, "in-doubt");
}
