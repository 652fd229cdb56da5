//! What a duplicate gets, and which requests are duplicates (docs/SEMANTICS.md).

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
    assert!(again.parameter("omitted").is_some(), "and that is said: {again:?}");
    // In wire order; the case of names, which means nothing, is not kept.
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
fn another_input_under_the_same_key_is_refused_before_anything_is_sent() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let url = upstream.url("/pay");
    let first = Request::post_json(&url, r#"{"amount": 1}"#).key("order-7");
    engine.send(&first).assert_is(200, "executed");
    let other = engine.send(&Request::post_json(&url, r#"{"amount": 2}"#).key("order-7"));
    other.assert_problem(422, "key-reuse");
    assert_eq!(other.word(), "key-reuse");
    assert!(!other.text().contains("amount"), "no stored data is told: {}", other.text());
    assert_eq!(upstream.hits(), 1);
    // Quotes around a key are no part of it; space and member order are no part of the input.
    let same = Request::post_json(&url, "{ \"amount\":1 }").key("\"order-7\"");
    engine.send(&same).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_key_reused_while_the_first_call_was_refused_makes_a_new_execution() {
    let upstream = Upstream::start(|request, exchange| {
        let status = if request.body == b"bad" { 400 } else { 200 };
        exchange.answer(status, &[], b"");
    });
    let engine = engine!().start();
    let url = upstream.url("/");
    engine.send(&Request::post(&url, "bad").key("k")).assert_is(400, "not-executed");
    engine.send(&Request::post(&url, "good").key("k")).assert_is(200, "executed");
    engine.send(&Request::post(&url, "good").key("k")).assert_is(200, "replayed");
    engine.send(&Request::post(&url, "bad").key("k")).assert_problem(422, "key-reuse");
    assert_eq!(engine.proxied().len(), 2);
    assert_eq!(upstream.hits(), 2);
}

#[test]
fn a_key_is_scoped_to_method_origin_path_and_principal() {
    let upstream = Upstream::echo();
    let elsewhere = Upstream::echo();
    let engine = engine!().start();
    let base = Request::post(&upstream.url("/a"), "x").key("k");
    engine.send(&base).assert_is(200, "executed");
    let mut patch = base.clone();
    patch.method = "PATCH".to_owned();
    let mut below = base.clone();
    below.url = upstream.url("/b");
    let mut origin = base.clone();
    origin.url = elsewhere.url("/a");
    for other in [
        patch,
        below,
        origin,
        base.clone().header("Authorization", "Bearer one"),
        base.clone().header("Authorization", "Bearer two"),
        base.clone().header("Cookie", "sid=1"),
        base.clone().header("X-Api-Key", "one"),
        base.clone().header("Agent-Session", "other user's").header("Agent-User", "local"),
    ] {
        let same_user = other.fields.iter().any(|(name, _)| name == "Agent-Session");
        let word = if same_user { "replayed" } else { "executed" };
        engine.send(&other).assert_is(200, word);
        engine.send(&other).assert_is(200, "replayed");
    }
    assert_eq!(upstream.hits() + elsewhere.hits(), 8);
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
fn inputs_that_some_reader_may_tell_apart_are_different_calls() {
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
fn agent_repeat_says_that_it_is_another_wish() {
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
fn put_and_delete_run_each_time_unless_a_key_says_otherwise() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let put = |body: &str| Request::new("PUT", &upstream.url("/doc")).body(body);
    for body in ["a", "b", "a"] {
        engine.send(&put(body)).assert_is(200, "executed");
    }
    assert_eq!(upstream.hits(), 3);
    assert_eq!(engine.proxied().len(), 3);
    let keyed = put("a").key("k");
    engine.send(&keyed).assert_is(200, "executed");
    engine.send(&keyed).assert_is(200, "replayed");
    engine.send(&put("b").key("k")).assert_problem(422, "key-reuse");
    let delete = Request::new("DELETE", &upstream.url("/doc"));
    engine.send(&delete).assert_is(200, "executed");
    engine.send(&delete).assert_is(200, "executed");
    assert_eq!(upstream.hits(), 6);
    assert!(engine.proxied().iter().all(|one| one["status"] == "completed"));
}

#[test]
fn an_unknown_put_may_be_sent_again() {
    let upstream = Upstream::start(|_, exchange| exchange.answer(500, &[], b"oh"));
    let engine = engine!().start();
    let plain = Request::new("PUT", &upstream.url("/doc")).body("a");
    assert_eq!(engine.send(&plain).status, 500);
    assert_eq!(engine.send(&plain).status, 500);
    let keyed = plain.key("k");
    assert_eq!(engine.send(&keyed).status, 500);
    let second = engine.send(&keyed);
    assert_eq!((second.status, second.parameter("attempt")), (500, Some("2")), "{second:?}");
    assert_eq!(upstream.hits(), 4);
    let other = Request::new("PUT", &upstream.url("/doc")).body("b").key("k");
    engine.send(&other).assert_problem(422, "key-reuse");
    let statuses: Vec<_> = engine.proxied().iter().map(|one| one["status"].to_string()).collect();
    assert_eq!(statuses, ["\"failed\""; 3]);
}

#[test]
fn reads_are_passed_and_never_stored() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    for method in ["GET", "HEAD", "OPTIONS", "QUERY", "PROPFIND", "REPORT", "SEARCH"] {
        let request = Request::new(method, &upstream.url("/r"));
        assert_eq!(engine.send(&request).status, 200, "{method}");
        assert_eq!(engine.send(&request).status, 200, "{method}");
    }
    let reads_by_post = [
        Request::post_json(&upstream.url("/index/_search"), "{}"),
        Request::post_json(&upstream.url("/v1/traces"), r#"{"resourceSpans":[]}"#),
        Request::post_json(&upstream.url("/graphql"), r#"{"query":"query A { b } query C { d }"}"#),
        Request::new("POST", &upstream.url("/token"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials&x=1"),
    ];
    for request in &reads_by_post {
        for _ in 0..2 {
            let answer = engine.send(request);
            assert_eq!(answer.status, 200, "{request:?}");
            assert!(["", "bypassed"].contains(&answer.word()), "{request:?} {answer:?}");
        }
    }
    assert_eq!(upstream.hits(), 14 + 8);
    assert_eq!(engine.proxied().len(), 0);

    let mutation = Request::post_json(&upstream.url("/graphql"), r#"{"query":"mutation { pay }"}"#);
    engine.send(&mutation).assert_is(200, "executed");
    engine.send(&mutation).assert_is(200, "replayed");
}

#[test]
fn a_refusal_by_a_2xx_body_is_not_executed() {
    let upstream = Upstream::start(|_, exchange| {
        let body = br#"{"errors":[{"message":"no"}]}"#;
        exchange.answer(200, &[("Content-Type", "application/json")], body);
    });
    let engine = engine!().start();
    let mutation = Request::post_json(&upstream.url("/graphql"), r#"{"query":"mutation { pay }"}"#);
    engine.send(&mutation).assert_is(200, "not-executed");
    engine.send(&mutation).assert_is(200, "not-executed");
    assert_eq!(upstream.hits(), 2);
}

#[test]
fn a_passed_host_is_never_keyed() {
    let upstream = Upstream::echo();
    let engine = engine!().arg("--pass").arg(upstream.addr.to_string()).start();
    for _ in 0..2 {
        let answer = engine.send(&Request::post(&upstream.url("/v1/chat"), "x").key("k"));
        assert_eq!((answer.status, answer.word()), (200, "bypassed"), "{answer:?}");
    }
    assert_eq!(upstream.hits(), 2);
    assert_eq!(upstream.received()[0].header("idempotency-key"), Some("k"));
    assert_eq!(engine.proxied().len(), 0);
    let other = Upstream::echo();
    engine.post(&other.url("/"), "x").assert_is(200, "executed");
}

#[test]
fn grpc_and_streaming_uploads_are_told_to_be_unguarded() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    for _ in 0..2 {
        let grpc = Request::new("POST", &upstream.url("/pkg.Service/Method"))
            .header("Content-Type", "application/grpc+proto")
            .body("x");
        let answer = engine.send(&grpc);
        assert_eq!((answer.status, answer.word()), (200, "bypassed"), "{answer:?}");
    }
    assert_eq!(upstream.hits(), 2);
}

#[test]
fn bad_keys_are_refused_before_anything_is_sent() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/"), "x");
    let long = "k".repeat(256);
    for bad in ["", "\"\"", long.as_str(), "gr\u{fc}n", "tab\there"] {
        engine.send(&request.clone().key(bad)).assert_problem(400, "malformed");
    }
    engine.send(&request.clone().key("a").key("b")).assert_problem(400, "malformed");
    assert_eq!(upstream.hits(), 0);
    let longest = "k".repeat(255);
    engine.send(&request.key(&longest)).assert_is(200, "executed");
    assert_eq!(upstream.only().header("idempotency-key"), Some(longest.as_str()));
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
    assert!(!log.contains("s3cr3t-"), "the log tells a secret");
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
