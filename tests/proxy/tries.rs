//! Members, fields and parameters that a client draws again for each try: in doubt they make no other
//! call, and when nothing is in doubt they do.

use serde_json::{Value, json};
use testkit::{Request, Upstream, engine};

use super::headers::by_path;

fn form(url: &str, body: &str) -> Request {
    let kind = "application/x-www-form-urlencoded";
    Request::new("POST", url).header("Content-Type", kind).body(body)
}

fn multipart(url: &str, parts: &[(&str, &str)], boundary: &str) -> Request {
    let part = |(name, value): &(&str, &str)| {
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        )
    };
    let body = parts.iter().map(part).collect::<String>() + &format!("--{boundary}--\r\n");
    let kind = format!("multipart/form-data; boundary={boundary}");
    Request::new("POST", url).header("Content-Type", &kind).body(body)
}

/// A tool call of MCP.
fn tool_call(url: &str, id: u32, arguments: &Value) -> Request {
    let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
                      "params": {"name": "send", "arguments": arguments}});
    Request::post_json(url, body.to_string())
        .header("Accept", "application/json, text/event-stream")
        .header("MCP-Protocol-Version", "2025-11-25")
}

/// The same call twice, as two tries of one client, for a URL.
fn two_tries(url: &str) -> Vec<(&'static str, Request, Request)> {
    let json = |a: Value, b: Value| {
        (Request::post_json(url, a.to_string()), Request::post_json(url, b.to_string()))
    };
    let named = |name: &str| json(json!({"eur": 1, name: "r-1"}), json!({"eur": 1, name: "r-2"}));
    let mut cases = Vec::new();
    for name in [
        "idempotency_key",
        "idempotencyKey",
        "request_id",
        "requestId",
        "client-request-id",
        "ClientRequestToken",
        "nonce",
        "timeout",
        "timeout_ms",
        "timeoutSeconds",
        "attempt",
        "retry_count",
        "csrf_token",
        "traceId",
        "acme_correlation_id",
        "x_dedup_nonce",
    ] {
        let (first, second) = named(name);
        cases.push((name, first, second));
    }
    let (first, second) = json(
        json!({"eur": 1, "ts": 1, "signature": "a1"}),
        json!({"eur": 1, "ts": 2, "signature": "b2"}),
    );
    cases.push(("a signed object", first, second));
    let rpc = |id: u32, nonce: u32| json!({"jsonrpc": "2.0", "id": id, "method": "pay", "params": {"eur": 1, "nonce": nonce}});
    let (first, second) = json(rpc(1, 5), rpc(2, 6));
    cases.push(("JSON-RPC", first, second));
    let graphql = |id: &str| {
        let input = json!({"eur": 1, "clientMutationId": id});
        json!({"query": "mutation($input: P!) { pay(input: $input) { id } }", "variables": {"input": input}})
    };
    let (first, second) = json(graphql("a"), graphql("b"));
    cases.push(("GraphQL", first, second));
    cases.push(("a member that is new", json(json!({"eur": 1}), json!(null)).0, named("nonce").1));
    cases.push(("form", form(url, "eur=1&request_id=a"), form(url, "eur=1&request_id=b")));
    cases.push((
        "form, escaped",
        form(url, "eur=1&idempotency%5Fkey=a"),
        form(url, "eur=1&idempotency%5Fkey=b"),
    ));
    cases.push((
        "multipart",
        multipart(url, &[("eur", "1"), ("nonce", "a")], "b1"),
        multipart(url, &[("eur", "1"), ("nonce", "b")], "b2"),
    ));
    cases.push((
        "query",
        Request::post(&format!("{url}?page=1&requestId=a"), "x"),
        Request::post(&format!("{url}?page=1&requestId=b"), "x"),
    ));
    cases.push((
        "MCP",
        tool_call(url, 1, &json!({"to": "ada", "request_id": "a", "timeout_seconds": 5})),
        tool_call(url, 2, &json!({"to": "ada", "request_id": "b", "timeout_seconds": 60})),
    ));
    cases
}

#[test]
fn a_call_in_doubt_holds_back_a_try_with_a_fresh_key_in_its_input() {
    let upstream = by_path();
    let engine = engine!().start();
    let cases = two_tries(&upstream.url("/lost"));
    for (index, (name, first, second)) in cases.iter().enumerate() {
        let at = |request: &Request| {
            let mut request = request.clone();
            request.url = request.url.replace("/lost", &format!("/lost/{index}"));
            request
        };
        let before = upstream.hits();
        engine.send(&at(first)).assert_is(504, "in-doubt");
        assert_eq!(engine.send(&at(second)).word(), "in-doubt", "{name}");
        assert_eq!(engine.send(&at(second).key("fresh")).word(), "in-doubt", "{name}");
        assert_eq!(upstream.hits(), before + 1, "{name}");
    }
}

#[test]
fn a_fresh_key_in_the_input_is_another_call_when_nothing_is_in_doubt() {
    let upstream = Upstream::start(|request, exchange| {
        let text: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let answer = json!({"jsonrpc": "2.0", "id": text["id"], "result": {"content": []}});
        let kind = [("Content-Type", "application/json")];
        exchange.answer(200, &kind, answer.to_string().as_bytes());
    });
    let engine = engine!().start();
    for (index, (name, first, second)) in two_tries(&upstream.url("/done")).iter().enumerate() {
        for request in [first, second] {
            let mut request = request.clone();
            request.url = request.url.replace("/done", &format!("/done/{index}"));
            assert_eq!(engine.send(&request).word(), "executed", "{name}");
            assert_eq!(engine.send(&request).word(), "replayed", "{name}");
        }
    }
}

#[test]
fn what_is_named_alike_and_means_something_is_another_call_in_doubt() {
    let upstream = by_path();
    let engine = engine!().start();
    let url = upstream.url("/lost");
    let json = |text: &str| Request::post_json(&url, text);
    for (first, second) in [
        (r#"{"order_id":1}"#, r#"{"order_id":2}"#),
        (r#"{"client_order_id":"a"}"#, r#"{"client_order_id":"b"}"#),
        (r#"{"retry_of":1}"#, r#"{"retry_of":2}"#),
        (r#"{"session_timeout":1}"#, r#"{"session_timeout":2}"#),
        (r#"{"wallet":{"nonce":1}}"#, r#"{"wallet":{"nonce":2}}"#),
        (r#"{"timestamp":1}"#, r#"{"timestamp":2}"#),
        (r#"{"signature":"a"}"#, r#"{"signature":"b"}"#),
        (r#"{"id":1,"method":"x"}"#, r#"{"id":2,"method":"x"}"#),
    ] {
        engine.send(&json(first)).assert_is(504, "in-doubt");
        engine.send(&json(second)).assert_is(504, "in-doubt");
        engine.send(&json(second)).assert_problem(424, "in-doubt");
    }
    assert_eq!(upstream.hits(), 16);
}
