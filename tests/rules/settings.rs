//! Each setting of a rule: what an upstream sees, how often, and what the caller is told.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use testkit::{Engine, Request, Upstream, engine};

use super::{configured, fine, reconfigure};

/// The rule that decided about the newest call, and its tool.
#[track_caller]
fn decided(engine: &Engine) -> (String, String) {
    let executions = engine.proxied();
    let newest = executions.last().expect("a call was claimed");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let id = text(&newest["id"]);
    let whole = engine.rpc("get_tool_execution", &json!({ "id": id }));
    (text(&whole["rule"]), text(&whole["tool_name"]))
}

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

    // A rule that names no method says nothing of what a GET does.
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

    // The rule's own place counts more than a key that a library draws for each try.
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
fn only_what_counts_tells_two_calls_apart() {
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
    // What is sent is what the client wrote.
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
fn a_doubt_is_told_as_its_rule_says() {
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
fn a_body_that_is_not_stored_is_told_by_its_digest() {
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
    for (path, _) in files(builder.home()) {
        let bytes = fs::read(&path).unwrap();
        for word in ["a private question", "a private answer"] {
            let found = bytes.windows(word.len()).any(|part| part == word.as_bytes());
            assert!(!found, "{path} holds {word:?}");
        }
    }
}

/// All files under a folder.
fn files(folder: &std::path::Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else if !entry.file_name().to_string_lossy().contains("reserve") {
            found.push((entry.path().display().to_string(), 0));
        }
    }
    found
}

#[test]
fn an_mcp_tool_is_no_other_call() {
    let upstream = fine();
    let engine =
        configured(&upstream, "[[rule]]\nmcp_tool = \"send_*\"\neffect = \"read\"\n").start();
    engine.post(&upstream.url("/send_mail"), "a").assert_is(200, "executed");
    assert_eq!(decided(&engine).0, "method POST");
}

#[test]
fn a_configuration_that_is_wrong_is_told_before_a_port_opens() {
    let upstream = fine();
    let (status, log) =
        configured(&upstream, "[proxy]\nmax_reqest = 1\n").try_start().err().unwrap();
    assert_eq!(status.code(), Some(2));
    assert!(log.contains("engine.toml:2: unknown field `max_reqest`"), "{log}");
    assert!(log.contains("did you mean `max_request`?"), "{log}");
    let missing = engine!().arg("--config").arg("/nowhere/engine.toml").try_start();
    assert!(missing.err().unwrap().1.contains("cannot read /nowhere/engine.toml"));
}

#[test]
fn the_file_of_the_working_folder_and_of_the_user_are_found() {
    let upstream = fine();
    let builder = engine!();
    let folder = builder.home().join("config").join("openclaw-state-engine.toml");
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    fs::write(&folder, "[[rule]]\nname = \"of the user\"\neffect = \"once\"\n").unwrap();
    let engine = builder.env("XDG_CONFIG_HOME", folder.parent().unwrap()).start();
    engine.post(&upstream.url("/a"), "a").assert_is(200, "executed");
    assert_eq!(decided(&engine).0, "rule of the user");
}

#[test]
fn a_hangup_changes_the_rules_and_drops_no_connection() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let upstream = Upstream::start(|_, exchange| {
        RUNS.fetch_add(1, Ordering::SeqCst);
        exchange.answer(200, &[], b"done");
    });
    let builder = configured(&upstream, "[proxy]\nmax_wait = \"9s\"\n");
    let file = builder.home().join("engine.toml");
    let engine = builder.start();
    let mut client = testkit::Client::connect(engine.proxy).unwrap();
    let request = Request::post(&upstream.url("/a"), "a");
    let ask = |client: &mut testkit::Client| {
        client.write(request.to_proxy()).unwrap();
        client.answer("POST").unwrap()
    };
    ask(&mut client).assert_is(200, "executed");
    ask(&mut client).assert_is(200, "replayed");

    fs::write(&file, "[[rule]]\neffect = \"reed\"\n").unwrap();
    engine.hang_up();
    testkit::wait_until("the file is refused", || {
        engine.log().contains("did you mean `read`").then_some(())
    });
    ask(&mut client).assert_is(200, "replayed");

    reconfigure(&engine, &file, "[proxy]\nmax_wait = \"8s\"\n[[rule]]\neffect = \"read\"\n");
    assert_eq!(ask(&mut client).word(), "");
    assert_eq!(RUNS.load(Ordering::SeqCst), 2);
    let log = engine.log();
    assert!(log.contains("proxy.max_wait") && !log.contains("rule.1"), "{log}");
}

#[test]
fn a_token_that_is_changed_takes_a_new_start() {
    let upstream = fine();
    let file = |token: &str| format!("[server]\ntoken = \"{token}\"\n");
    let builder = configured(&upstream, &file("the-first-of-two-tokens-for-this-api"));
    let path = builder.home().join("engine.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let engine = builder.start();
    reconfigure(&engine, &path, &file("the-second-of-two-tokens-for-this-api"));
    let log = engine.log();
    assert!(log.contains("server.token") && !log.contains("two-tokens"), "{log}");
}

#[test]
fn what_may_have_run_is_in_doubt_once_its_rule_says_that_it_may_run_but_once() {
    let upstream = Upstream::start(|_, exchange| exchange.answer(500, &[], b"who knows"));
    let builder = configured(&upstream, "[[rule]]\neffect = \"idempotent\"\n");
    let file = builder.home().join("engine.toml");
    let engine = builder.start();
    let request = Request::post(&upstream.url("/a"), "a").key("k-1");
    engine.send(&request).assert_is(500, "in-doubt");
    engine.send(&request).assert_is(500, "in-doubt");
    assert_eq!(upstream.hits(), 2);

    reconfigure(&engine, &file, "[[rule]]\neffect = \"once\"\n");
    let doubt = engine.send(&request);
    doubt.assert_problem(424, "in-doubt");
    assert_eq!(upstream.hits(), 2);
    let token = doubt.json()["retry_token"].as_str().unwrap().to_owned();
    let again = request.header("Idempotency-Retry-Token", &token);
    engine.send(&again).assert_is(500, "in-doubt");
    assert_eq!(upstream.hits(), 3);
}

#[test]
fn a_doubt_is_one_under_a_rule_that_names_another_place_of_the_key() {
    let upstream = Upstream::start(|_, exchange| exchange.answer(500, &[], b"who knows"));
    let builder = configured(&upstream, "");
    let file = builder.home().join("engine.toml");
    let engine = builder.start();
    let named = "[[rule]]\nkey = \"/order/id\"\n";
    let in_header = "[[rule]]\nkey = \"X-Order\"\n";
    let order = |id: u32| {
        let body = format!(r#"{{"order":{{"id":"{id}"}}}}"#);
        Request::post_json(&upstream.url("/a"), body).header("X-Order", &id.to_string())
    };
    for (n, (before, after)) in
        [("", named), (named, ""), ("", in_header), (in_header, "")].into_iter().enumerate()
    {
        let request = order(n as u32);
        reconfigure(&engine, &file, before);
        engine.send(&request).assert_is(500, "in-doubt");
        reconfigure(&engine, &file, after);
        engine.send(&request).assert_problem(424, "in-doubt");
        assert_eq!(upstream.hits(), n + 1);
    }
}

#[test]
fn private_networks_can_be_refused() {
    let upstream = fine();
    let engine = configured(&upstream, "[proxy]\nrefuse_private = true\n").start();
    for host in ["10.255.255.1", "192.168.255.1:9", "172.16.0.1", "100.64.0.1", "[fd12::1]"] {
        let refused = engine.post(&format!("http://{host}/a"), "a");
        refused.assert_problem(403, "refused");
        assert!(refused.text().contains("refuse_private"), "{host}: {}", refused.text());
    }
    assert!(engine.proxied().is_empty());
    // This machine is another matter.
    engine.post(&upstream.url("/a"), "a").assert_is(200, "executed");
}

#[test]
fn the_table_of_posts_that_only_read_can_be_switched_off() {
    let upstream = fine();
    let search = |engine: &Engine| engine.post(&upstream.url("/index/_search"), "a");
    let usual = configured(&upstream, "").start();
    assert_eq!(search(&usual).word(), "");
    assert_eq!(search(&usual).word(), "");
    let without = configured(&upstream, "[proxy]\nreads_table = false\n").start();
    search(&without).assert_is(200, "executed");
    search(&without).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 3);
}

#[test]
fn what_is_on_this_machine_can_be_refused() {
    let upstream = fine();
    let engine = configured(&upstream, "[proxy]\nrefuse_loopback = true\n").start();
    engine.post(&upstream.url("/a"), "a").assert_problem(403, "refused");
    assert_eq!(upstream.hits(), 0);
}
