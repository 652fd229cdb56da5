//! The configuration file as a whole: where it is found, which errors it can have, what a reload changes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::{Engine, Request, Upstream, engine};

use super::{configured, decided, fine, reconfigure};

#[test]
fn a_wrong_configuration_is_reported_before_a_port_opens() {
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
fn a_changed_token_needs_a_restart() {
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
fn a_call_that_may_have_run_is_in_doubt_once_its_rule_says_once() {
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
fn a_doubt_holds_under_a_rule_that_finds_the_key_elsewhere() {
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
    // This machine is not a private network.
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
