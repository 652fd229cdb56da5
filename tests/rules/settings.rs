//! Each setting of a rule: what an upstream sees, how often, and what the caller gets.

use std::fs;

use serde_json::Value;
use testkit::{Request, Upstream, files};

use super::{configured, decided, fine};

#[test]
fn effects_are_what_a_rule_says() {
    let upstream = fine();
    let engine = configured(
        &upstream,
        r#"
        [[rule]]
        name = "look"
        path = "/look/**"
        effect = "read"

        [[rule]]
        name = "act"
        path = "/act"
        method = "GET"
        effect = "once"
        tool = "lamp"

        [[rule]]
        name = "set"
        path = ["/set", "/sets/*"]
        effect = "idempotent"

        [[rule]]
        name = "rest"
        host = "127.0.0.1"
        effect = "once"
        "#,
    )
    .start();
    let post = |path: &str| engine.post(&upstream.url(path), "a");
    assert_eq!(post("/look/a/b").header("idempotency-status"), None);
    assert_eq!(post("/look/a/b").word(), "");
    assert_eq!(upstream.hits(), 2);

    let act = Request::get(&upstream.url("/act"));
    engine.send(&act).assert_is(200, "executed");
    engine.send(&act).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 3);
    assert_eq!(decided(&engine), ("rule act".to_owned(), "lamp".to_owned()));

    post("/sets/1").assert_is(200, "executed");
    post("/sets/1").assert_is(200, "executed");
    assert_eq!(upstream.hits(), 5);

    // A rule without a method does not change what a GET does.
    let read = Request::get(&upstream.url("/rest"));
    assert_eq!(engine.send(&read).word(), "");
    assert_eq!(engine.send(&read).word(), "");
    let put = Request::new("PUT", &upstream.url("/rest")).body("a");
    engine.send(&put).assert_is(200, "executed");
    engine.send(&put).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 8);
    assert_eq!(decided(&engine).0, "rule rest");
}

#[test]
fn a_key_is_where_a_rule_says() {
    let upstream = fine();
    let engine = configured(
        &upstream,
        r#"
        [[rule]]
        path = "/header"
        key = "X-Order"

        [[rule]]
        path = "/body"
        key = "/order/id"
        "#,
    )
    .start();
    let header = |order: &str, body: &str| {
        engine.send(&Request::post(&upstream.url("/header"), body).header("X-Order", order))
    };
    header("7", "a").assert_is(200, "executed");
    let again = header("7", "a");
    again.assert_is(200, "replayed");
    assert_eq!(
        (again.header("idempotency-key"), again.parameter("key")),
        (Some("7"), Some("explicit"))
    );
    header("7", "b").assert_problem(422, "key-reuse");
    header("8", "a").assert_is(200, "executed");

    // The rule's key wins over a key that a library sets on each try.
    let body = |random: &str, text: &str| {
        engine.send(&Request::post_json(&upstream.url("/body"), text).key(random))
    };
    body("r-1", r#"{"order":{"id":5},"amount":1}"#).assert_is(200, "executed");
    body("r-2", r#"{"amount":1,"order":{"id":5}}"#).assert_is(200, "replayed");
    body("r-3", r#"{"order":{"id":5},"amount":2}"#).assert_problem(422, "key-reuse");
    body("r-4", r#"{"amount":1}"#).assert_is(200, "executed");
    assert_eq!(upstream.hits(), 4);
    assert_eq!(decided(&engine).0, "rule 2, method POST");
}

#[test]
fn only_what_counts_makes_calls_different() {
    let upstream = fine();
    let engine = configured(
        &upstream,
        r#"
        [[rule]]
        path = "/ignore"
        ignore = ["/sent_at", "/meta/trace"]
        ignore_headers = "X-Attempt"

        [[rule]]
        path = "/select"
        select = ["/to", "/text"]

        [[rule]]
        path = "/count"
        count_headers = "X-Request-Id"
        "#,
    )
    .start();
    let json = |path: &str, body: &str| engine.send(&Request::post_json(&upstream.url(path), body));
    let ignored = |n: u32, to: &str| {
        let body = format!(r#"{{"to":"{to}","sent_at":{n},"meta":{{"trace":"{n}","a":1}}}}"#);
        let request = Request::post_json(&upstream.url("/ignore"), body);
        engine.send(&request.header("X-Attempt", &n.to_string()))
    };
    ignored(1, "ada").assert_is(200, "executed");
    ignored(2, "ada").assert_is(200, "replayed");
    ignored(3, "bob").assert_is(200, "executed");
    // The upstream gets what the client wrote.
    assert!(upstream.received()[1].body.windows(3).any(|part| part == b"bob"));

    json("/select", r#"{"to":"a","text":"b","n":1}"#).assert_is(200, "executed");
    json("/select", r#"{"n":2,"text":"b","to":"a"}"#).assert_is(200, "replayed");
    json("/select", r#"{"to":"a","text":"c","n":1}"#).assert_is(200, "executed");

    let counted = |id: &str| {
        engine.send(&Request::post(&upstream.url("/count"), "a").header("X-Request-Id", id))
    };
    counted("1").assert_is(200, "executed");
    counted("2").assert_is(200, "executed");
    counted("1").assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 6);
}

#[test]
fn an_ignored_field_of_a_form_is_ignored_too() {
    let upstream = fine();
    let engine = configured(&upstream, "[[rule]]\nignore = \"/nonce\"\n").start();
    let form = |body: &str| {
        let kind = "application/x-www-form-urlencoded";
        let request = Request::new("POST", &upstream.url("/f")).header("Content-Type", kind);
        engine.send(&request.body(body))
    };
    form("to=a&nonce=1").assert_is(200, "executed");
    form("to=a&nonce=2").assert_is(200, "replayed");
    form("to=b&nonce=2").assert_is(200, "executed");
}

#[test]
fn a_window_ends_when_a_rule_says() {
    let upstream = fine();
    let engine = configured(&upstream, "[[rule]]\npath = \"/now\"\nwindow = \"0s\"\n").start();
    for path in ["/now", "/usual"] {
        engine.post(&upstream.url(path), "a").assert_is(200, "executed");
    }
    engine.post(&upstream.url("/now"), "a").assert_is(200, "executed");
    engine.post(&upstream.url("/usual"), "a").assert_is(200, "replayed");
}

#[test]
fn a_session_can_be_the_principal() {
    let upstream = fine();
    let rules = "[[rule]]\npath = \"/rotates\"\nprincipal = \"session\"\n";
    let engine = configured(&upstream, rules).start();
    let with = |path: &str, token: &str| {
        let request = Request::post(&upstream.url(path), "a");
        engine.send(&request.header("Authorization", &format!("Bearer {token}")))
    };
    with("/rotates", "one").assert_is(200, "executed");
    with("/rotates", "two").assert_is(200, "replayed");
    with("/usual", "one").assert_is(200, "executed");
    with("/usual", "two").assert_is(200, "executed");
}

#[test]
fn a_doubt_is_answered_as_its_rule_says() {
    let upstream = Upstream::start(|_, exchange| exchange.answer(500, &[], b"oops"));
    let engine = configured(
        &upstream,
        r#"
        [[rule]]
        path = "/pay"
        on_unknown = "human"
        verify = "GET /payments?order=… lists it"
        "#,
    )
    .start();
    let first = engine.post(&upstream.url("/pay"), "a");
    first.assert_is(500, "in-doubt");
    assert_eq!(first.header("idempotency-retry-token"), None);
    let held = engine.post(&upstream.url("/pay"), "a");
    held.assert_problem(424, "in-doubt");
    let problem = held.json();
    assert_eq!(problem["verify"], "GET /payments?order=… lists it");
    assert!(problem["detail"].as_str().unwrap().contains("GET /payments?order=… lists it"));
    assert_eq!((&problem["retry_token"], &problem["confirm_url"]), (&Value::Null, &Value::Null));
    assert_eq!(held.header("idempotency-retry-token"), None);

    let usual = engine.post(&upstream.url("/usual"), "a");
    assert!(usual.header("idempotency-retry-token").is_some());
    assert_eq!(upstream.hits(), 2);
}

#[test]
fn a_success_that_is_a_refusal_runs_again() {
    let upstream = Upstream::start(|request, exchange| {
        let body: &[u8] = match request.target() {
            "/flag" => b"{\"done\": false}",
            "/word" => b"{\"state\":{\"code\":\"re\\u006aected\"}}",
            _ => b"{\"done\": true}",
        };
        exchange.answer(200, &[("Content-Type", "application/json")], body);
    });
    let rules = "[[rule]]\nfailed_if = { \"/done\" = false, \"/state/code\" = \"rejected\" }\n";
    let engine = configured(&upstream, rules).start();
    for path in ["/flag", "/word"] {
        engine.post(&upstream.url(path), "a").assert_is(200, "not-executed");
        engine.post(&upstream.url(path), "a").assert_is(200, "not-executed");
    }
    engine.post(&upstream.url("/fine"), "a").assert_is(200, "executed");
    engine.post(&upstream.url("/fine"), "a").assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 5);
}

#[test]
fn a_body_that_is_not_stored_is_identified_by_its_digest() {
    let upstream = Upstream::start(|_, exchange| exchange.answer(200, &[], b"a private answer"));
    let rules = "[[rule]]\npath = \"/private\"\nstore_body = false\n";
    let engine = configured(&upstream, rules).start();
    let first = engine.post(&upstream.url("/private"), "a private question");
    first.assert_is(200, "executed");
    assert_eq!(first.text(), "a private answer");
    let again = engine.post(&upstream.url("/private"), "a private question");
    again.assert_problem(410, "response-not-kept");
    assert_eq!(again.json()["size"], 16);
    assert_eq!(upstream.hits(), 1);
    let builder = engine.kill();
    // The reserve is as large as it is empty.
    let files = files(builder.home()).into_iter().filter(|(path, _)| !path.contains("reserve"));
    for (path, _) in files {
        let bytes = fs::read(&path).unwrap();
        for word in ["a private question", "a private answer"] {
            let found = bytes.windows(word.len()).any(|part| part == word.as_bytes());
            assert!(!found, "{path} holds {word:?}");
        }
    }
}

#[test]
fn an_mcp_tool_is_not_a_different_call() {
    let upstream = fine();
    let engine =
        configured(&upstream, "[[rule]]\nmcp_tool = \"send_*\"\neffect = \"read\"\n").start();
    engine.post(&upstream.url("/send_mail"), "a").assert_is(200, "executed");
    assert_eq!(decided(&engine).0, "method POST");
}
