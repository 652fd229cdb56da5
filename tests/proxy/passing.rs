//! What is sent each time: reads, repeatable methods, and hosts and requests that are not guarded.

use testkit::{Request, Upstream, engine};

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
fn grpc_and_streaming_uploads_are_reported_as_unguarded() {
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
