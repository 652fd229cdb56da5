//! What is not a tool call, and what a trusted server says about its tools.

use serde_json::{Value, json};
use testkit::{Request, Upstream, engine};

use super::{EVENTS, answer_json, call, call_body, event, message, message_in, plain, result};

#[test]
fn other_messages_than_tool_calls_pass_byte_for_byte_and_unrecorded() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.answer(
            200,
            &[("Content-Type", "application/json"), ("Mcp-Session-Id", "s")],
            b"{ \"jsonrpc\":\"2.0\" , \"id\":1,\"result\":{} }",
        );
    });
    let engine = engine!().start();
    for text in [
        r#"{ "method" : "initialize", "jsonrpc":"2.0","id":1, "params":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":9,"result":{"action":"accept"}}"#,
    ] {
        for _ in 0..2 {
            let before = upstream.hits();
            let request = message(&upstream.url("/mcp"), &Value::Null).body(text);
            let answer = engine.send(&request);
            assert_eq!(answer.text(), "{ \"jsonrpc\":\"2.0\" , \"id\":1,\"result\":{} }");
            assert_eq!(answer.header("idempotency-status"), None);
            assert_eq!(answer.header("mcp-session-id"), Some("s"));
            let received = upstream.received();
            assert_eq!(received.len(), before + 1);
            assert_eq!(received[before].body, text.as_bytes());
            assert_eq!(received[before].header("mcp-protocol-version"), Some("2025-11-25"));
        }
    }
    for method in ["GET", "DELETE"] {
        let request = Request::new(method, &upstream.url("/mcp")).header("Mcp-Session-Id", "s");
        let answer = engine.send(&request);
        assert_eq!((answer.status, answer.header("idempotency-status")), (200, None), "{method}");
    }
    assert!(engine.proxied().is_empty());
}

#[test]
fn an_ordinary_json_rpc_api_is_compared_whole() {
    let upstream = plain();
    let engine = engine!().start();
    let post = |id: u64| {
        let body = call_body(&json!(id), "send", &json!({}));
        engine.send(&Request::post_json(&upstream.url("/rpc"), body.to_string()))
    };
    post(1).assert_is(200, "executed");
    post(1).assert_is(200, "replayed");
    post(2).assert_is(200, "executed");
    let batch = json!([call_body(&json!(1), "a", &json!({}))]);
    let batch = message(&upstream.url("/mcp"), &batch);
    engine.send(&batch).assert_is(200, "executed");
    engine.send(&batch).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 3);
}

/// The engine uses the hints of servers that the configuration trusts, once it has seen them.
#[test]
fn a_trusted_servers_hints_decide_if_no_rule_does() {
    let upstream = Upstream::start(|request, exchange| {
        let sent = message_in(request);
        if sent["method"] == "tools/list" {
            let tools = json!([
                {"name": "look", "annotations": {"readOnlyHint": true}},
                {"name": "set", "annotations": {"idempotentHint": true}},
                {"name": "ruled", "annotations": {"readOnlyHint": true}},
            ]);
            let list = json!({"jsonrpc": "2.0", "id": sent["id"], "result": {"tools": tools}});
            exchange.begin_chunked(200, &EVENTS);
            exchange.chunk(event(&list));
            exchange.end_chunked(&[]);
        } else {
            answer_json(exchange, 200, &result(request, "done"));
        }
    });
    let builder = engine!();
    let config = builder.home().join("engine.toml");
    let trust = format!(
        "[mcp]\ntrust = [\"{}\"]\n\n[[rule]]\nmcp_tool = [\"ruled\"]\neffect = \"once\"\n\
         tool = \"the ruled one\"\n",
        upstream.url("/mcp")
    );
    std::fs::write(&config, trust).unwrap();
    let engine = builder.arg("--config").arg(&config).start();
    engine.send(&call(&upstream, 1, "look")).assert_is(200, "executed");
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let list = engine.send(&message(&upstream.url("/mcp"), &list));
    assert!(list.text().contains("readOnlyHint"), "{list:?}");
    let before = upstream.hits();
    for id in 3..5 {
        let look = engine.send(&call(&upstream, id, "look"));
        assert_eq!(look.header("idempotency-status"), None, "it passes");
        engine.send(&call(&upstream, id, "set")).assert_is(200, "executed");
    }
    engine.send(&call(&upstream, 5, "ruled")).assert_is(200, "executed");
    engine.send(&call(&upstream, 6, "ruled")).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), before + 5);
    let recorded = engine.proxied();
    let of = |rule: &str| recorded.iter().filter(|one| one["rule"] == rule).count();
    assert_eq!((of("mcp tools/call"), of("mcp idempotentHint")), (1, 2), "{recorded:#?}");
    assert!(recorded.iter().any(|one| one["tool_name"] == "the ruled one"), "{recorded:#?}");
    let elsewhere = message(&upstream.url("/other"), &call_body(&json!(7), "look", &json!({})));
    engine.send(&elsewhere).assert_is(200, "executed");
}
