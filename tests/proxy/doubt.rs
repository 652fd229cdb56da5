//! A call in doubt: who may send it again, and how it is settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use testkit::{Client, Engine, Request, Response, Upstream, engine};

/// Answers the first `broken` requests with 500, later ones with 200 and their number.
fn breaks_first(broken: usize) -> Upstream {
    let count = Arc::new(AtomicUsize::new(0));
    Upstream::start(move |_, exchange| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let status = if number <= broken { 500 } else { 200 };
        exchange.answer(status, &[], format!("answer {number}").as_bytes());
    })
}

fn in_doubt(engine: &Engine, request: &Request) -> Response {
    let answer = engine.send(request);
    answer.assert_problem(424, "in-doubt");
    assert_eq!(answer.word(), "in-doubt");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!(answer.header("stripe-should-retry"), Some("false"));
    assert_eq!(answer.header("retry-after"), None);
    answer
}

fn member(answer: &Response, name: &str) -> String {
    answer.json()[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name}: {}", answer.text()))
        .to_owned()
}

#[test]
fn the_problem_has_all_that_is_needed_to_settle_the_doubt() {
    let upstream = breaks_first(1);
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/pay"), "1 EUR");
    let first = engine.send(&request);
    first.assert_is(500, "in-doubt");
    let doubt = in_doubt(&engine, &request);
    assert_eq!(member(&doubt, "execution_id"), first.header("agent-execution-id").unwrap());
    for name in ["sent_at", "last_event", "retry_token", "confirm_url"] {
        assert!(!member(&doubt, name).is_empty());
    }
    let confirm = member(&doubt, "confirm_url");
    let expected = format!("http://{}/confirm/{}", engine.proxy, member(&doubt, "retry_token"));
    assert_eq!(confirm, expected);
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn doubt_survives_a_restart_and_does_not_expire() {
    let upstream = breaks_first(1);
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/pay"), "1 EUR");
    engine.send(&request).assert_is(500, "in-doubt");
    let engine = engine.kill_and_restart();
    in_doubt(&engine, &request);
    let engine = engine.kill_and_restart();
    let doubt = in_doubt(&engine, &request);
    let again = request.clone().header("Idempotency-Retry-Token", &member(&doubt, "retry_token"));
    engine.send(&again).assert_is(200, "executed");
    assert_eq!(upstream.hits(), 2);
}

#[test]
fn a_token_by_header_runs_one_more_attempt_and_only_one() {
    let upstream = breaks_first(1);
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/pay"), "1 EUR").key("order-1");
    let first = engine.send(&request);
    first.assert_is(500, "in-doubt");
    let token = first.header("idempotency-retry-token").unwrap().to_owned();
    let redeeming = request.clone().header("Idempotency-Retry-Token", &token);
    let second = engine.send(&redeeming);
    second.assert_is(200, "executed");
    assert_eq!(second.parameter("attempt"), Some("2"));
    assert_eq!(second.text(), "answer 2");
    // Spent: the request is a plain duplicate.
    engine.send(&redeeming).assert_is(200, "replayed");
    engine.send(&request).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 2);
    assert!(upstream.received().iter().all(|one| one.header("idempotency-retry-token").is_none()));
    assert_eq!(engine.proxied().len(), 1);
}

#[test]
fn two_callers_that_redeem_at_once_get_one_attempt() {
    let upstream = breaks_first(1);
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/pay"), "1 EUR");
    let first = engine.send(&request);
    let token = first.header("idempotency-retry-token").unwrap().to_owned();
    let redeeming = request.header("Idempotency-Retry-Token", &token);
    let proxy = engine.proxy;
    let answers = testkit::all_at_once(20, |_| redeeming.via(proxy));
    assert!(answers.iter().all(|answer| answer.text() == "answer 2"), "{answers:#?}");
    assert_eq!(upstream.hits(), 2);
}

#[test]
fn a_token_releases_only_its_own_doubt() {
    let upstream = breaks_first(3);
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/pay"), "1 EUR");
    let first = engine.send(&request);
    let token = first.header("idempotency-retry-token").unwrap().to_owned();
    let redeeming = request.clone().header("Idempotency-Retry-Token", &token);
    engine.send(&redeeming).assert_is(500, "in-doubt");
    // The second attempt is in doubt too. The token of the first one does not release it.
    in_doubt(&engine, &redeeming);
    let other = Request::post(&upstream.url("/pay"), "2 EUR");
    engine.send(&other).assert_is(500, "in-doubt");
    in_doubt(&engine, &other.clone().header("Idempotency-Retry-Token", &token));
    for forged in ["x", &token[..token.len() - 1], &format!("{token}x")] {
        let answer = engine.send(&other.clone().header("Idempotency-Retry-Token", forged));
        assert_eq!(answer.status, 424, "{answer:?}");
    }
    assert_eq!(upstream.hits(), 3);
}

#[test]
fn confirm_works_in_origin_form_in_absolute_form_and_in_a_tunnel() {
    for form in ["origin", "absolute", "tunnel"] {
        let upstream = breaks_first(1);
        let engine = engine!().start();
        let request = Request::post(&upstream.url("/pay"), "1 EUR");
        engine.send(&request).assert_is(500, "in-doubt");
        let url = member(&in_doubt(&engine, &request), "confirm_url");
        let confirm = Request::new("POST", &url);
        let confirm = || match form {
            "absolute" => confirm.via(engine.proxy),
            "origin" => {
                let mut client = Client::connect(engine.proxy).unwrap();
                client.ask(&confirm)
            }
            _ => {
                let own = engine.proxy.to_string();
                let (mut client, head) = Client::tunnel(engine.proxy, &own, "").unwrap();
                assert!(head.line.contains(" 200"), "{head:?}");
                client.ask(&confirm)
            }
        };
        let confirmed = confirm();
        assert!((200..300).contains(&confirmed.status), "{form}: {confirmed:?}");
        let repeated = confirm();
        assert!((200..300).contains(&repeated.status), "{form}: safe to repeat: {repeated:?}");
        assert_eq!(engine.proxied()[0]["status"], "in_doubt", "released, and not yet run");
        assert_eq!(upstream.hits(), 1);
        let second = engine.send(&request);
        second.assert_is(200, "executed");
        assert_eq!(second.parameter("attempt"), Some("2"));
        engine.send(&request).assert_is(200, "replayed");
        assert_eq!(upstream.hits(), 2);
    }
}

#[test]
fn a_released_doubt_runs_for_the_same_content_under_a_fresh_key() {
    let upstream = breaks_first(1);
    let engine = engine!().start();
    let keyed = |key: &str| Request::post(&upstream.url("/pay"), "1 EUR").key(key);
    engine.send(&keyed("random-1")).assert_is(500, "in-doubt");
    let doubt = in_doubt(&engine, &keyed("random-2"));
    assert_eq!(doubt.parameter("reason"), Some("same-content"), "{doubt:?}");
    let url = member(&doubt, "confirm_url");
    assert!((200..300).contains(&engine.send(&Request::new("POST", &url)).status));
    let second = engine.send(&keyed("random-3"));
    second.assert_is(200, "executed");
    assert_eq!(second.parameter("attempt"), Some("2"));
    for key in ["random-1", "random-3"] {
        engine.send(&keyed(key)).assert_is(200, "replayed");
    }
    assert_eq!(upstream.hits(), 2);
}

#[test]
fn confirm_refuses_bad_tokens_and_methods_other_than_post() {
    let engine = engine!().start();
    let url = format!("http://{}/confirm/nonsense", engine.proxy);
    for method in ["POST", "GET"] {
        let answer = engine.send(&Request::new(method, &url));
        assert!((400..500).contains(&answer.status), "{method}: {answer:?}");
    }
}

#[test]
fn the_guard_holds_the_same_content_under_any_key_while_in_doubt() {
    let upstream = breaks_first(1);
    let engine = engine!().start();
    let base = Request::post_json(&upstream.url("/pay"), r#"{"eur": 1}"#);
    let first = engine.send(&base.clone().key("random-1"));
    first.assert_is(500, "in-doubt");
    let id = first.header("agent-execution-id").unwrap();
    let same = [
        base.clone().key("random-2"),
        base.clone(),
        Request::post_json(&upstream.url("/pay"), r#"{"eur":1}"#),
        base.clone().key("random-3").header("X-Request-Id", "9"),
    ];
    for request in &same {
        let doubt = in_doubt(&engine, request);
        assert_eq!(doubt.parameter("reason"), Some("same-content"), "{doubt:?}");
        assert_eq!(member(&doubt, "execution_id"), id);
        assert!(!doubt.text().contains("answer 1"), "stored data leaked: {}", doubt.text());
    }
    // Different calls: other content, another session, or an `Agent-Repeat`.
    engine
        .send(&Request::post_json(&upstream.url("/pay"), r#"{"eur": 2}"#))
        .assert_is(200, "executed");
    engine.send(&base.clone().header("Agent-Session", "other")).assert_is(200, "executed");
    engine.send(&base.clone().key("k").header("Agent-Repeat", "2")).assert_is(200, "executed");
    assert_eq!(upstream.hits(), 4);
}

#[test]
fn the_guard_holds_a_call_whose_own_key_was_refused_before() {
    let count = AtomicUsize::new(0);
    let upstream = Upstream::start(move |_, exchange| {
        let status = [429, 500, 200][count.fetch_add(1, Ordering::SeqCst)];
        exchange.answer(status, &[], b"");
    });
    let engine = engine!().start();
    let plain = Request::post(&upstream.url("/pay"), "1 EUR");
    engine.send(&plain).assert_is(429, "not-executed");
    engine.send(&plain.clone().key("order-1")).assert_is(500, "in-doubt");
    let doubt = in_doubt(&engine, &plain);
    assert_eq!(doubt.parameter("reason"), Some("same-content"), "{doubt:?}");
    assert_eq!(upstream.hits(), 2);
    let token = member(&doubt, "retry_token");
    let second = engine.send(&plain.clone().header("Idempotency-Retry-Token", &token));
    second.assert_is(200, "executed");
    assert_eq!(second.parameter("attempt"), Some("2"));
    for request in [&plain, &plain.clone().key("order-1")] {
        engine.send(request).assert_is(200, "replayed");
    }
}

#[test]
fn another_principal_gets_no_token_and_no_answer() {
    let upstream = breaks_first(1);
    let engine = engine!().start();
    let as_principal = |token: &str| {
        Request::post(&upstream.url("/pay"), "1 EUR")
            .header("Authorization", &format!("Bearer {token}"))
    };
    let first = engine.send(&as_principal("one"));
    first.assert_is(500, "in-doubt");
    let held = in_doubt(&engine, &as_principal("two"));
    assert_eq!(held.parameter("reason"), Some("same-content"));
    assert!(held.json()["retry_token"].is_null(), "{}", held.text());
    assert!(held.json()["confirm_url"].is_null(), "{}", held.text());
    // Not even with the first principal's token.
    let token = first.header("idempotency-retry-token").unwrap();
    in_doubt(&engine, &as_principal("two").header("Idempotency-Retry-Token", token));
    let id = member(&held, "execution_id");
    engine.rpc(
        "resolve_tool_execution",
        &json!({"id": id, "attempt": 1, "verdict": "executed", "evidence": "seen in the ledger"}),
    );
    engine.send(&as_principal("two")).assert_is(200, "executed");
    assert_eq!(upstream.hits(), 2);
}

#[test]
fn a_verdict_settles_a_doubt() {
    for (verdict, status) in [("executed", "completed"), ("not_executed", "failed")] {
        let upstream = breaks_first(1);
        let engine = engine!().start();
        let request = Request::post(&upstream.url("/pay"), "1 EUR");
        let first = engine.send(&request);
        let id = first.header("agent-execution-id").unwrap();
        let settled = engine.rpc(
            "resolve_tool_execution",
            &json!({"id": id, "attempt": 1, "verdict": verdict, "evidence": "looked it up"}),
        );
        assert_eq!(settled["status"], status);
        let next = engine.send(&request);
        if verdict == "executed" {
            assert_eq!(upstream.hits(), 1);
            assert_ne!(next.word(), "executed", "{next:?}");
            assert_ne!(next.status, 424, "{next:?} {}", next.text());
        } else {
            next.assert_is(200, "executed");
            assert_eq!(upstream.hits(), 2);
        }
        let stale = engine
            .try_rpc(
                "resolve_tool_execution",
                &json!({"id": id, "attempt": 1, "verdict": "executed", "evidence": "again"}),
            )
            .unwrap_err();
        assert_eq!((stale.code, &stale.data["code"]), (-32013, &json!("STALE")), "{stale:?}");
    }
}

#[test]
fn the_cli_lists_and_settles_doubts() {
    let upstream = breaks_first(1);
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/pay"), "1 EUR");
    let first = engine.send(&request);
    let id = first.header("agent-execution-id").unwrap();
    let database = engine.builder().database_path().to_str().unwrap().to_owned();
    let cli = |args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(["--database", database.as_str()]);
        engine.builder().cli(all)
    };
    let listed = cli(&["executions", "--status", "in_doubt"]);
    assert_eq!(listed.status.code(), Some(0), "{listed:?}");
    assert!(String::from_utf8_lossy(&listed.stdout).contains(id), "{listed:?}");
    let verified = cli(&["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}
