//! One effect whatever the id, and a replay that the caller can read.

use serde_json::json;
use testkit::{Client, Gate, Request, Upstream, engine};

use super::{
    EVENTS, answer_json, assert_tool_error, call, call_body, event, message, message_in,
    message_of, only_execution, plain, result, text_of,
};

#[test]
fn a_retry_under_a_new_id_has_one_effect_and_its_own_id() {
    let upstream = plain();
    let engine = engine!().start();
    let first = engine.send(&call(&upstream, 1, "send"));
    first.assert_is(200, "executed");
    assert_eq!(first.json()["id"], 1);
    let second = engine.send(&call(&upstream, "two", "send"));
    second.assert_is(200, "replayed");
    assert_eq!((&second.json()["id"], text_of(&second)), (&json!("two"), "sent".to_owned()));
    let engine = engine.kill_and_restart();
    let third = engine.send(&call(&upstream, 3, "send"));
    third.assert_is(200, "replayed");
    assert_eq!(third.json()["id"], 3);
    assert_eq!(upstream.hits(), 1);
    let execution = only_execution(&engine);
    assert_eq!(execution["tool_name"], "tools/call send 127.0.0.1");
    assert_eq!(execution["rule"], "mcp tools/call");
    let kept = execution.to_string();
    assert!(!kept.contains("session-of"), "{kept}");
    engine.send(&call(&upstream, 4, "other")).assert_is(200, "executed");
    assert_eq!(upstream.hits(), 2);
}

/// Outside MCP, a header of this name is an ordinary header.
#[test]
fn a_header_with_mcps_name_makes_other_requests_different() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let of = |tenant: &str| {
        engine.send(&Request::post(&upstream.url("/act"), "x").header("Mcp-Tenant", tenant))
    };
    of("a").assert_is(200, "executed");
    of("b").assert_is(200, "executed");
    of("a").assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 2);
}

#[test]
fn a_replay_has_a_form_that_the_caller_can_read() {
    let upstream = Upstream::start(|request, exchange| {
        exchange.begin_chunked(200, &EVENTS);
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
                              "params": {"progressToken": 1, "progress": 1}});
        exchange.chunk(event(&progress));
        exchange.chunk(event(&result(request, "streamed")));
        exchange.end_chunked(&[]);
    });
    let engine = engine!().start();
    let first = engine.send(&call(&upstream, 1, "send"));
    first.assert_is(200, "executing");
    let whole = first.text();
    assert!(whole.contains("notifications/progress") && whole.ends_with("\n\n"), "{whole}");
    let again = engine.send(&call(&upstream, 2, "send"));
    again.assert_is(200, "replayed");
    assert_eq!(again.header("content-type"), Some("application/json"));
    assert_eq!(again.json()["id"], 2);
    let mut only_events = call(&upstream, 3, "send");
    only_events.fields.retain(|(name, _)| name != "Accept");
    let again = engine.send(&only_events.header("Accept", "text/event-stream"));
    again.assert_is(200, "replayed");
    assert_eq!(again.header("content-type"), Some("text/event-stream"));
    assert_eq!(message_of(&again)["id"], 3);
    assert!(!again.text().contains("progress"), "old progress is not sent again");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_duplicate_of_a_running_call_waits_and_gets_its_own_id() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |request, exchange| {
        held.wait();
        answer_json(exchange, 200, &result(request, "once"));
    });
    let engine = engine!().start();
    let answers = std::thread::scope(|scope| {
        let leader = scope.spawn(|| engine.send(&call(&upstream, 1, "send")));
        upstream.wait_for_hits(1);
        let others: Vec<_> = (2..5)
            .map(|id| {
                let engine = &engine;
                let upstream = &upstream;
                scope.spawn(move || engine.send(&call(upstream, id, "send")))
            })
            .collect();
        gate.open();
        leader.join().unwrap().assert_is(200, "executed");
        others.into_iter().map(|other| other.join().unwrap()).collect::<Vec<_>>()
    });
    for (answer, id) in answers.iter().zip(2..) {
        assert!(["coalesced", "replayed"].contains(&answer.word()), "{answer:?}");
        assert_eq!(answer.json()["id"], id);
    }
    assert_eq!(upstream.hits(), 1);
}

/// A tool's error that its caller never saw is replayed to the retry. One that it saw is not.
#[test]
fn an_error_that_was_not_delivered_is_replayed_once() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |request, exchange| {
        let answer = json!({"jsonrpc": "2.0", "id": message_in(request)["id"],
                            "result": {"content": [], "isError": true}});
        exchange.begin_chunked(200, &EVENTS);
        exchange.chunk(": begun\n\n");
        held.wait();
        if message_in(request)["id"] == 1 {
            for _ in 0..50 {
                exchange.chunk(": still there\n\n");
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        exchange.chunk(event(&answer));
        exchange.end_chunked(&[]);
    });
    let engine = engine!().start();
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(call(&upstream, 1, "send").to_proxy()).unwrap();
    client.head().unwrap();
    drop(client);
    gate.open();
    testkit::wait_until("the call is over", || {
        (only_execution(&engine)["status"] == "failed").then_some(())
    });
    let retry = engine.send(&call(&upstream, 2, "send"));
    retry.assert_is(200, "replayed");
    assert_eq!((retry.json()["id"].clone(), upstream.hits()), (json!(2), 1));
    engine.send(&call(&upstream, 3, "send")).assert_is(200, "executing");
    assert_eq!(upstream.hits(), 2, "it was replayed, and then called again");
}

#[test]
fn a_key_in_meta_names_the_call() {
    let upstream = plain();
    let engine = engine!().start();
    let keyed = |id: u64, n: u64, header: Option<&str>| {
        let mut body = call_body(&json!(id), "send", &json!({"n": n}));
        body["params"]["_meta"]["openclaw-state-engine/idempotency-key"] = json!("order-7");
        let request = message(&upstream.url("/mcp"), &body);
        engine.send(&header.map_or(request.clone(), |key| request.key(key)))
    };
    let first = keyed(1, 1, None);
    first.assert_is(200, "executed");
    assert_eq!(first.header("idempotency-key"), Some("order-7"));
    assert_eq!(first.parameter("key"), Some("explicit"));
    keyed(2, 1, None).assert_is(200, "replayed");
    keyed(3, 1, Some("order-7")).assert_is(200, "replayed");
    assert_tool_error(&keyed(4, 2, None), &json!(4), "key-reuse");
    assert_tool_error(&keyed(5, 1, Some("order-8")), &json!(5), "malformed");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_large_call_is_guarded_too() {
    let upstream = plain();
    let engine = engine!().start();
    let large = |id: u64| {
        let body = call_body(&json!(id), "send", &json!({"file": "x".repeat(600_000)}));
        engine.send(&message(&upstream.url("/mcp"), &body))
    };
    large(1).assert_is(200, "executed");
    let again = large(2);
    again.assert_is(200, "replayed");
    assert_eq!((again.json()["id"].clone(), upstream.hits()), (json!(2), 1));
}

#[test]
fn a_call_that_names_a_bad_key_is_refused_as_a_tools_result() {
    let upstream = plain();
    let engine = engine!().start();
    let long = "k".repeat(256);
    let blank =
        "must not be blank: leave it out, or send 1 to 255 characters that are not only spaces";
    for (key, why) in [
        (json!(""), blank),
        (json!("   "), blank),
        (json!("\u{200b}"), blank),
        (json!("\n"), blank),
        (json!("a\nb"), "must be a string of 1 to 255 characters"),
        (json!(long), "must be a string of 1 to 255 characters"),
        (json!(7), "must be a string of 1 to 255 characters"),
        (json!(null), "must be a string of 1 to 255 characters"),
    ] {
        let mut body = call_body(&json!("one"), "send", &json!({"n": 1}));
        body["params"]["_meta"]["openclaw-state-engine/idempotency-key"] = key.clone();
        let refused = engine.send(&message(&upstream.url("/mcp"), &body));
        let problem = assert_tool_error(&refused, &json!("one"), "malformed");
        assert_eq!(problem["status"], 400);
        assert!(problem["detail"].as_str().unwrap().contains(why), "{key}: {problem}");
    }
    assert_eq!(upstream.hits(), 0);
}
