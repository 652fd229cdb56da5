//! Explicit keys: what they are scoped to, and which ones are refused.

use testkit::{Request, Upstream, engine};

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
    let problem = other.json();
    assert_eq!(problem["differs"], serde_json::json!([{"part": "member", "name": "/amount"}]));
    assert_eq!(upstream.hits(), 1);
    // Quotes around a key do not belong to it. Space and the order of members do not belong to the input.
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
fn bad_keys_are_refused_before_anything_is_sent() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/"), "x");
    let long = "k".repeat(256);
    for blank in ["", "  ", "\"\"", "\"   \"", "\t"] {
        let refused = engine.send(&request.clone().key(blank));
        refused.assert_problem(400, "malformed");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("Idempotency-Key must not be blank: leave it out"), "{detail}");
    }
    for bad in [long.as_str(), "gr\u{fc}n", "tab\there"] {
        engine.send(&request.clone().key(bad)).assert_problem(400, "malformed");
    }
    engine.send(&request.clone().key("a").key("b")).assert_problem(400, "malformed");
    assert_eq!(upstream.hits(), 0);
    let longest = "k".repeat(255);
    engine.send(&request.key(&longest)).assert_is(200, "executed");
    assert_eq!(upstream.only().header("idempotency-key"), Some(longest.as_str()));
}
