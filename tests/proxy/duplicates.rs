//! Duplicates: which contents make two calls different, and the replay of the first answer.

use std::thread;
use std::time::Duration;

use testkit::{Request, Upstream, engine};

#[test]
fn a_replay_is_the_first_answer_byte_for_byte() {
    let body: Vec<u8> = (0..=255_u8).cycle().take(100_000).collect();
    let kept = body.clone();
    let upstream = Upstream::start(move |_, exchange| {
        exchange.answer(
            201,
            &[
                ("Date", "Tue, 15 Nov 1994 08:12:31 GMT"),
                ("x-Mixed-CASE", "One"),
                ("X-Twice", "a"),
                ("X-Twice", "b"),
                ("ETag", "\"v1\""),
                ("Content-Type", "application/octet-stream"),
                ("Set-Cookie", "sid=secret"),
                ("Connection", "X-Hop"),
                ("X-Hop", "1"),
                ("Keep-Alive", "timeout=5"),
            ],
            &kept,
        );
    });
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/make"), "x");
    let first = engine.send(&request);
    first.assert_is(201, "executed");
    assert_eq!(first.header("set-cookie"), Some("sid=secret"), "the first caller gets its cookie");
    assert_eq!(first.header("x-hop"), None);
    assert_eq!(first.header("keep-alive"), None);

    let again = engine.send(&request);
    again.assert_is(201, "replayed");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.body, body);
    assert_eq!(again.header("date"), Some("Tue, 15 Nov 1994 08:12:31 GMT"));
    assert_eq!(again.header("set-cookie"), None, "a cookie is never stored");
    assert!(again.parameter("omitted").is_some(), "the omission is reported: {again:?}");
    // In wire order. The case of names has no meaning and is not kept.
    let fields = |answer: &testkit::Response| -> Vec<(String, String)> {
        let fields = answer.upstream_fields().into_iter();
        let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value));
        fields.filter(|(name, _)| name != "set-cookie").collect()
    };
    assert_eq!(fields(&again), fields(&first));
    assert_eq!(again.header("agent-execution-id"), first.header("agent-execution-id"));
    assert!(again.header("age").is_some());
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn the_first_answer_names_its_execution_and_key() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let derived = engine.post(&upstream.url("/a"), "x");
    derived.assert_is(200, "executed");
    assert_eq!(derived.parameter("key"), Some("derived"));
    assert_eq!(derived.parameter("attempt"), Some("1"));
    assert_eq!(derived.header("idempotent-replayed"), None);
    let explicit = engine.send(&Request::post(&upstream.url("/a"), "x").key("k-1"));
    explicit.assert_is(200, "executed");
    assert_eq!(explicit.parameter("key"), Some("explicit"));
    let executions = engine.proxied();
    assert_eq!(executions.len(), 2, "{executions:#?}");
    assert_eq!(executions[0]["id"], derived.header("agent-execution-id").unwrap());
    let key = executions[0]["idempotency_key"].as_str().unwrap();
    let (start, hash) = key.rsplit_once(':').unwrap();
    let (tool, date) = start.strip_prefix("auto:").unwrap().rsplit_once(':').unwrap();
    assert!(tool.starts_with("POST"), "{key}");
    assert!(!tool.contains([' ', ':']) && date.len() == 8 && hash.len() >= 32, "{key}");
    assert_eq!(executions[0]["tool_name"], "POST 127.0.0.1");
    assert_eq!(executions[1]["idempotency_key"], "k-1");
    assert_eq!(executions[1]["id"], explicit.header("agent-execution-id").unwrap());
}

#[test]
fn inputs_that_every_reader_treats_as_equal_are_one_call() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let url = upstream.url("/");
    let first = Request::post_json(&url, r#"{"b": [1, 2], "a": "\u0041"}"#);
    engine.send(&first).assert_is(200, "executed");
    let same = [
        Request::post_json(&url, "{\"a\":\"A\",\n \"b\":[1,2]}"),
        first.clone().header("User-Agent", "another"),
        first.clone().header("traceparent", "00-1-2-01"),
        first.clone().header("X-Request-Id", "17"),
        first.clone().header("X-Stainless-Retry-Count", "2"),
        first.clone().header("Accept", "*/*"),
        first.clone().header("Date", "Tue, 15 Nov 1994 08:12:31 GMT"),
    ];
    for request in same {
        let answer = engine.send(&request);
        assert_eq!(answer.word(), "replayed", "{request:?}");
    }
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_new_signature_is_the_same_caller() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let signed = |id: &str, signature: &str| {
        let scope = "20260131/eu-west-1/sns/aws4_request, SignedHeaders=host;x-amz-date";
        let field = format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, Signature={signature}");
        let request = Request::post(&upstream.url("/"), "Action=Publish");
        engine.send(&request.header("Authorization", &field).header("X-Amz-Date", signature))
    };
    signed("AKIDADA", "1").assert_is(200, "executed");
    signed("AKIDADA", "2").assert_is(200, "replayed");
    signed("AKIDBOB", "2").assert_is(200, "executed");
    assert_eq!(upstream.hits(), 2);
}

#[test]
fn inputs_that_some_reader_may_distinguish_are_different_calls() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let url = upstream.url("/p");
    let json = |body: &str| Request::post_json(&url, body);
    let form = |body: &str| {
        let kind = "application/x-www-form-urlencoded";
        Request::new("POST", &url).header("Content-Type", kind).body(body)
    };
    let different = [
        json(r#"{"n":12345678901234567890}"#),
        json(r#"{"n":12345678901234567891}"#),
        json(r#"{"n":1.0}"#),
        json(r#"{"n":1}"#),
        json(r#"{"n":1e0}"#),
        json(r#"{"n":"1"}"#),
        json(r#"{"n":[1,2]}"#),
        json(r#"{"n":[2,1]}"#),
        json(r#"{"n":1,"n":2}"#),
        json(r#"{"n":2,"n":1}"#),
        json(r#"{"n":null}"#),
        json("{}"),
        json(r#"{"n":1}"#).header("X-Amz-Target", "A"),
        json(r#"{"n":1}"#).header("X-Amz-Target", "B"),
        json(r#"{"n":1}"#).header("SOAPAction", "A"),
        json(r#"{"n":1}"#).header("Stripe-Account", "A"),
        json(r#"{"n":1}"#).header("Agent-Repeat", "1"),
        json(r#"{"n":1}"#).header("Agent-Repeat", "2"),
        Request::post_json(&upstream.url("/p?a=1"), r#"{"n":1}"#),
        Request::post_json(&upstream.url("/p?a=%31"), r#"{"n":1}"#),
        Request::post_json(&upstream.url("/%70"), r#"{"n":1}"#),
        Request::post(&url, r#"{"n":1}"#),
        // What `curl -d` calls a form.
        form(r#"{"url":"h/a%2Fb"}"#),
        form(r#"{"url":"h/a/b"}"#),
        form("a=1;b=2"),
        form("a=1%3Bb=2"),
    ];
    for request in &different {
        let answer = engine.send(request);
        assert_eq!(answer.word(), "executed", "{request:?} {}", answer.text());
    }
    assert_eq!(upstream.hits(), different.len());
    for request in &different {
        assert_eq!(engine.send(request).word(), "replayed", "{request:?}");
    }
    assert_eq!(upstream.hits(), different.len());
}

#[test]
fn agent_repeat_makes_it_a_different_call() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let toggle = Request::post(&upstream.url("/light"), "on");
    engine.send(&toggle).assert_is(200, "executed");
    for value in ["2", "3"] {
        let again = toggle.clone().header("Agent-Repeat", value);
        engine.send(&again).assert_is(200, "executed");
        engine.send(&again).assert_is(200, "replayed");
    }
    assert_eq!(upstream.hits(), 3);
    assert!(upstream.received().iter().all(|request| request.header("agent-repeat").is_none()));
}

#[test]
fn secrets_of_a_request_are_neither_stored_nor_logged() {
    const BODY: &str =
        r#"{"password":"s3cr3t-member","in":"{\"token\":\"s3cr3t-text\"}","to":"ada"}"#;
    let upstream = Upstream::echo();
    let engine = engine!().env("STATE_ENGINE_LOG", "trace").start();
    let url = upstream.url("/hook?access_token=s3cr3t-query&page=2");
    let request = Request::post_json(&url, BODY)
        .header("Authorization", "Bearer s3cr3t-bearer")
        .header("Cookie", "sid=s3cr3t-cookie")
        .header("X-Api-Key", "s3cr3t-api-key")
        .header("Referer", "https://x/?access_token=s3cr3t-referer")
        .header("Proxy-Authorization", "Basic czNjcjN0OnBhc3M=");
    let first = engine.send(&request);
    first.assert_is(200, "executed");
    let stored = engine.proxied()[0]["tool_input"].to_string();
    assert!(stored.contains("ada") && stored.contains("page=2"), "{stored}");
    assert!(!stored.contains("s3cr3t-"), "{stored}");
    thread::sleep(Duration::from_millis(50));
    let log = engine.log();
    assert!(!log.contains("s3cr3t-"), "a secret is in the log");
    let sent = upstream.only();
    assert_eq!(sent.header("authorization"), Some("Bearer s3cr3t-bearer"));
    assert_eq!(sent.header("cookie"), Some("sid=s3cr3t-cookie"));
    assert_eq!(sent.header("proxy-authorization"), None);
    assert_eq!(sent.target(), "/hook?access_token=s3cr3t-query&page=2");
    for (path, _) in engine.files() {
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for secret in ["s3cr3t-bearer", "s3cr3t-cookie", "s3cr3t-api-key", "czNjcjN0OnBhc3M"] {
            assert!(!text.contains(secret), "{secret} is in {path}");
        }
    }
}
