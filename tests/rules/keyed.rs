//! Upstreams that honour keys: a repeat with the same key settles an unknown outcome.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use testkit::{Gate, Received, Request, Upstream, wait_until};

use super::{configured, fine, reconfigure};

/// The key of a request, from either header.
fn key_of(request: &Received) -> String {
    let in_body = || {
        let body: serde_json::Value = serde_json::from_slice(&request.body).ok()?;
        body["idempotency_key"].as_str().map(str::to_owned)
    };
    let header = ["idempotency-key", "x-key"].iter().find_map(|name| request.header(name));
    header.map(str::to_owned).or_else(in_body).unwrap_or_default()
}

/// A tool with one effect per key, and the number of requests for each key.
fn honours(drops: usize) -> (Upstream, Arc<Mutex<HashMap<String, usize>>>) {
    let acted: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let (ledger, dropped) = (Arc::clone(&acted), Mutex::new(0));
    let upstream = Upstream::start(move |request, exchange| {
        let key = key_of(request);
        let times = {
            let mut ledger = ledger.lock().unwrap();
            ledger.entry(key.clone()).or_insert(1);
            ledger[&key]
        };
        let mut dropped = dropped.lock().unwrap();
        if *dropped < drops {
            *dropped += 1;
            exchange.close();
        } else {
            exchange.answer(201, &[], format!("acted {times} for {key}").as_bytes());
        }
    });
    (upstream, acted)
}

#[test]
fn a_lost_answer_is_fetched_with_the_same_key() {
    let (upstream, acted) = honours(1);
    let engine = configured(&upstream, "[[rule]]\neffect = \"keyed\"\n").start();
    let request = Request::post(&upstream.url("/pay"), "amount=1");
    let lost = engine.send(&request);
    lost.assert_problem(502, "upstream-failed");
    assert_eq!(lost.word(), "in-doubt");
    let found = engine.send(&request);
    found.assert_is(201, "executed");
    assert_eq!(found.parameter("attempt"), Some("2"));
    engine.send(&request).assert_is(201, "replayed");
    let id = found.header("agent-execution-id").unwrap().to_owned();
    assert_eq!(found.text(), format!("acted 1 for {id}"));
    let keys: Vec<String> = upstream.received().iter().map(key_of).collect();
    assert_eq!(keys, [id.clone(), id.clone()]);
    assert_eq!(*acted.lock().unwrap(), HashMap::from([(id, 1)]));
}

#[test]
fn a_killed_engine_sends_the_same_key() {
    let gate = Gate::new();
    let shut = gate.clone();
    let upstream = Upstream::start(move |_, exchange| {
        shut.wait();
        exchange.answer(200, &[], b"done");
    });
    let engine = configured(&upstream, "[[rule]]\neffect = \"keyed\"\n").start();
    let request = Request::post(&upstream.url("/pay"), "amount=1");
    let mut client = testkit::Client::connect(engine.proxy).unwrap();
    client.write(request.to_proxy()).unwrap();
    upstream.wait_for_hits(1);
    let builder = engine.kill();
    gate.open();
    let engine = builder.start();
    engine.send(&request).assert_is(200, "executed");
    let keys: Vec<String> = upstream.received().iter().map(key_of).collect();
    assert_eq!(keys[0], keys[1]);
    assert_eq!(engine.proxied().len(), 1);
}

#[test]
fn a_clients_own_key_is_not_changed() {
    let (upstream, _) = honours(1);
    let rules = "[[rule]]\neffect = \"keyed\"\nupstream_key = \"X-Key\"\n";
    let engine = configured(&upstream, rules).start();
    let request = Request::post(&upstream.url("/pay"), "amount=1").header("X-Key", "own-1");
    engine.send(&request).assert_problem(502, "upstream-failed");
    let found = engine.send(&request);
    found.assert_is(201, "executed");
    assert_eq!(found.text(), "acted 1 for own-1");
    assert_eq!(found.parameter("key"), Some("explicit"));
    let other = Request::post(&upstream.url("/pay"), "amount=1").header("X-Key", "own-2");
    engine.send(&other).assert_is(201, "executed");
    assert!(upstream.received().iter().all(|request| request.header("idempotency-key").is_none()));
}

#[test]
fn a_fresh_key_next_to_a_rules_key_is_not_a_second_call() {
    let (upstream, acted) = honours(4);
    let rules = "[[rule]]\neffect = \"keyed\"\nkey = \"/order/id\"\n";
    let engine = configured(&upstream, rules).start();
    let order = |id: u32, random: Option<&str>| {
        let body = format!(r#"{{"order":{{"id":{id}}},"amount":{id}}}"#);
        let request = Request::post_json(&upstream.url("/pay"), body);
        engine.send(&random.map_or(request.clone(), |key| request.key(key)))
    };
    // A library sets a key on each try, only on the first, or only on the second.
    for (id, tries) in
        [(1, [Some("r-1"), Some("r-2")]), (2, [Some("r-3"), None]), (3, [None, Some("r-4")])]
    {
        let lost = order(id, tries[0]);
        lost.assert_problem(502, "upstream-failed");
        let held = order(id, tries[1]);
        held.assert_problem(424, "in-doubt");
        assert_eq!(held.header("idempotency-key"), Some(id.to_string().as_str()));
    }
    assert_eq!(upstream.hits(), 3);
    // Without the library's key, the engine's own key settles it, as it would have settled the third.
    order(4, None).assert_problem(502, "upstream-failed");
    order(4, None).assert_is(201, "executed");
    order(3, None).assert_is(201, "executed");
    assert_eq!((upstream.hits(), acted.lock().unwrap().len()), (6, 4));
}

#[test]
fn an_upstream_key_that_differs_from_the_first_trys_settles_nothing() {
    let (upstream, _) = honours(2);
    let rules = "[[rule]]\neffect = \"keyed\"\nupstream_key = \"X-Key\"\n";
    let builder = configured(&upstream, rules);
    let file = builder.home().join("engine.toml");
    let engine = builder.start();
    let (theirs, ours) = ("X-Key", "Idempotency-Key");
    let send = |place: &str, key: &str| {
        let request = Request::post_json(&upstream.url("/pay"), format!("[{key:?}]"));
        engine.send(&request.header(place, key))
    };
    // The client's own key goes upstream unchanged. If its key is elsewhere, the engine adds one.
    for (key, first, second) in [("k-1", theirs, ours), ("k-2", ours, theirs)] {
        send(first, key).assert_problem(502, "upstream-failed");
        send(second, key).assert_problem(424, "in-doubt");
    }
    assert_eq!(upstream.hits(), 2);
    reconfigure(&engine, &file, &rules.replace("X-Key", "X-Other"));
    send(ours, "k-2").assert_problem(424, "in-doubt");
    assert_eq!(upstream.hits(), 2);
    // A repeat with the key of the first try settles it.
    reconfigure(&engine, &file, rules);
    send(theirs, "k-1").assert_is(201, "executed");
    send(ours, "k-2").assert_is(201, "executed");
    assert_eq!(upstream.hits(), 4);
}

#[test]
fn another_key_of_the_client_for_the_same_call_settles_nothing() {
    let (upstream, _) = honours(2);
    let rules = "[[rule]]\neffect = \"keyed\"\nupstream_key = \"X-Key\"\n";
    let engine = configured(&upstream, rules).start();
    let send = |key: &str, token: Option<&str>| {
        let request = Request::post(&upstream.url("/pay"), "amount=1").header("X-Key", key);
        engine.send(&match token {
            Some(token) => request.header("Idempotency-Retry-Token", token),
            None => request,
        })
    };
    let lost = send("own-1", None);
    lost.assert_problem(502, "upstream-failed");
    // With the retry token the next attempt has another key, and its answer is lost too.
    let token = lost.json()["retry_token"].as_str().unwrap().to_owned();
    send("own-2", Some(&token)).assert_problem(502, "upstream-failed");
    send("own-1", None).assert_problem(424, "in-doubt");
    assert_eq!(upstream.hits(), 2);
    send("own-2", None).assert_is(201, "executed");
    assert_eq!(upstream.hits(), 3);
}

#[test]
fn a_clients_key_next_to_a_rules_key_still_counts_as_a_key() {
    let (upstream, _) = honours(0);
    let rules = "[[rule]]\neffect = \"keyed\"\nkey = \"/id\"\nupstream_key = \"X-Key\"\n";
    let engine = configured(&upstream, rules).start();
    let send = |random: &str| {
        let request = Request::post_json(&upstream.url("/pay"), r#"{"id":1}"#);
        engine.send(&request.header("X-Key", random))
    };
    send("r-1").assert_is(201, "executed");
    send("r-2").assert_is(201, "replayed");
    assert_eq!(upstream.hits(), 1);
}

/// A tool that answers each key as it answered it first; the answers, in order, of new keys.
fn remembers(answers: &'static [u16]) -> Upstream {
    let seen: Mutex<Vec<String>> = Mutex::default();
    Upstream::start(move |request, exchange| {
        let key = key_of(request);
        let number = {
            let mut seen = seen.lock().unwrap();
            let known = seen.iter().position(|other| *other == key);
            known.unwrap_or_else(|| {
                seen.push(key.clone());
                seen.len() - 1
            })
        };
        match answers[number] {
            0 => exchange.close(),
            status => exchange.answer(status, &[], key.as_bytes()),
        }
    })
}

#[test]
fn a_call_that_did_not_run_gets_a_new_key() {
    for (place, refusals) in
        [("X-Key", &[402, 201][..]), ("X-Key", &[429, 422, 201]), ("/idempotency_key", &[400, 201])]
    {
        let refusals: &'static [u16] = refusals.to_vec().leak();
        let upstream = remembers(refusals);
        let rules = format!("[[rule]]\neffect = \"keyed\"\nupstream_key = \"{place}\"\n");
        let engine = configured(&upstream, &rules).start();
        let request = Request::post_json(&upstream.url("/pay"), r#"{"amount":1}"#);
        for status in &refusals[..refusals.len() - 1] {
            engine.send(&request).assert_is(*status, "not-executed");
        }
        let done = engine.send(&request);
        done.assert_is(201, "executed");
        let keys: Vec<String> = upstream.received().iter().map(key_of).collect();
        assert_eq!(keys[0], done.header("agent-execution-id").unwrap(), "the first is the id");
        for key in &keys[1..] {
            let shape: Vec<usize> = key.split('-').map(str::len).collect();
            assert_eq!(shape, [8, 4, 4, 4, 12], "{key}");
        }
        engine.send(&request).assert_is(201, "replayed");
        assert_eq!(upstream.hits(), refusals.len());
    }
}

#[test]
fn a_call_of_unknown_outcome_keeps_the_key_of_its_newest_attempt() {
    let upstream = remembers(&[402, 0, 201]);
    let engine = configured(&upstream, "[[rule]]\neffect = \"keyed\"\n").start();
    let request = Request::post(&upstream.url("/pay"), "amount=1");
    engine.send(&request).assert_is(402, "not-executed");
    engine.send(&request).assert_problem(502, "upstream-failed");
    engine.send(&request).assert_problem(502, "upstream-failed");
    let engine = engine.kill_and_restart();
    engine.send(&request).assert_problem(502, "upstream-failed");
    let keys: Vec<String> = upstream.received().iter().map(key_of).collect();
    assert_ne!(keys[0], keys[1]);
    assert_eq!([&keys[1], &keys[1]], [&keys[2], &keys[3]]);

    // An operator settles it: the next attempt gets a key that the upstream does not know.
    let execution = engine.proxied().remove(0);
    engine.rpc(
        "resolve_tool_execution",
        &serde_json::json!({"id": execution["id"], "attempt": 4, "verdict": "not_executed",
                            "evidence": "looked it up"}),
    );
    engine.send(&request).assert_is(201, "executed");
    assert_ne!(key_of(&upstream.received()[4]), keys[1]);
}

/// A token is the client's word, and no evidence: the upstream still recognises the call.
#[test]
fn a_retry_token_keeps_the_key() {
    let upstream = remembers(&[500]);
    let rules = "[[rule]]\neffect = \"keyed\"\nupstream_key_lifetime = \"0s\"\n";
    let engine = configured(&upstream, rules).start();
    let request = Request::post(&upstream.url("/pay"), "amount=1");
    let token = engine.send(&request).header("idempotency-retry-token").unwrap().to_owned();
    let again = request.clone().header("Idempotency-Retry-Token", &token);
    engine.send(&again).assert_is(500, "in-doubt");
    let keys: Vec<String> = upstream.received().iter().map(key_of).collect();
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn a_call_of_which_nothing_was_sent_keeps_its_key() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{port}/pay");
    let fine = super::fine();
    let engine = configured(&fine, "[[rule]]\neffect = \"keyed\"\n").start();
    let refused = engine.post(&url, "a");
    refused.assert_problem(502, "upstream-failed");
    assert_eq!(refused.word(), "not-executed");
    let upstream = Upstream::start_at(&port.to_string(), |_, exchange| {
        exchange.answer(200, &[], b"done");
    });
    let done = engine.post(&url, "a");
    done.assert_is(200, "executed");
    assert_eq!(done.header("agent-execution-id").unwrap(), key_of(&upstream.only()));
}

#[test]
fn a_key_can_be_a_member_of_the_body() {
    let (upstream, acted) = honours(1);
    let rules = "[[rule]]\neffect = \"keyed\"\nupstream_key = \"/idempotency_key\"\n";
    let engine = configured(&upstream, rules).start();
    let request = Request::post_json(&upstream.url("/pay"), r#"{ "amount": 1.50 }"#);
    engine.send(&request).assert_problem(502, "upstream-failed");
    let found = engine.send(&request);
    found.assert_is(201, "executed");
    let id = found.header("agent-execution-id").unwrap();
    let sent = String::from_utf8(upstream.received()[1].body.clone()).unwrap();
    assert_eq!(sent, format!(r#"{{"idempotency_key":"{id}", "amount": 1.50 }}"#));
    assert_eq!(acted.lock().unwrap().len(), 1);

    // If the body cannot hold a key, the tool cannot recognize a repeat: the call is guarded as usual.
    let (upstream, _) = honours(1);
    let text = Request::post(&upstream.url("/pay"), "no JSON");
    engine.send(&text).assert_problem(502, "upstream-failed");
    engine.send(&text).assert_problem(424, "in-doubt");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_conflict_and_an_old_key_leave_it_in_doubt() {
    let upstream = Upstream::start(|request, exchange| match request.target() {
        "/busy" => exchange.answer(409, &[], b"still at it"),
        _ => exchange.close(),
    });
    let engine = configured(
        &upstream,
        r#"
        [[rule]]
        path = "/old"
        effect = "keyed"
        upstream_key_lifetime = "0s"

        [[rule]]
        effect = "keyed"
        "#,
    )
    .start();
    engine.post(&upstream.url("/busy"), "a").assert_is(409, "in-doubt");
    engine.post(&upstream.url("/busy"), "a").assert_is(409, "in-doubt");
    assert_eq!(upstream.hits(), 2);

    engine.post(&upstream.url("/old"), "a").assert_problem(502, "upstream-failed");
    engine.post(&upstream.url("/old"), "a").assert_problem(424, "in-doubt");
    assert_eq!(upstream.hits(), 3);
    wait_until("both are recorded", || (engine.proxied().len() == 2).then_some(()));
}

#[test]
fn a_blank_key_is_refused_wherever_a_rule_looks_for_one() {
    let upstream = fine();
    let rules = r#"
[[rule]]
path = "/header"
key = "X-Order"

[[rule]]
path = "/body"
key = "/order"

[[rule]]
path = "/upstream"
effect = "keyed"
upstream_key = "/order"
"#;
    let engine = configured(&upstream, rules).start();
    let json = |path: &str, body: &str| Request::post_json(&upstream.url(path), body);
    let form = |body: &str| {
        Request::new("POST", &upstream.url("/body"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body)
    };
    for (place, request) in [
        ("x-order", json("/header", "1").header("X-Order", "\"  \"")),
        ("x-order", json("/header", "1").header("X-Order", "")),
        ("/order", json("/body", r#"{"order":" "}"#)),
        ("/order", json("/body", r#"{"order":"\u00a0"}"#)),
        ("/order", json("/body", r#"{"order":"\"\t\""}"#)),
        ("/order", form("order=%20%20&n=1")),
        ("/order", form("order=&n=1")),
        ("/order", json("/upstream", r#"{"order":""}"#)),
    ] {
        let refused = engine.send(&request);
        refused.assert_problem(400, "malformed");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.starts_with(&format!("{place} must not be blank: leave it out")),
            "{detail}"
        );
    }
    assert_eq!(upstream.hits(), 0);
    engine.send(&json("/body", r#"{"order":" 7 "}"#)).assert_is(200, "executed");
}
