//! The wrapper as a process: its server's environment and end, kills, signals.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::wait_until;

use super::{Place, Session, assert_in_doubt, executions, text};

#[test]
fn a_server_that_dies_leaves_its_call_in_doubt_and_its_status() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut session = place.start();
    let answer = session.call(1, &json!({"do": "die"}));
    assert_eq!(answer["id"], 1);
    assert!(text(&answer).contains("may have been carried out"), "{answer}");
    assert_eq!(session.exit_code(), Some(7), "the server's own status");
    let mut session = place.start();
    assert_in_doubt(&session.call(2, &json!({"do": "die"})), &json!(2));
    assert_eq!(place.effects(), 1);
    assert_eq!(executions(&engine)[0]["status"], "in_doubt");
}

#[test]
fn a_killed_wrapper_leaves_its_call_in_doubt_until_it_is_confirmed() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut session = place.start();
    session.ask(1, &json!({"do": "hang"}));
    wait_until("the server works", || place.beside("hangs").exists().then_some(()));
    session.child.kill().unwrap();
    session.child.wait().unwrap();
    wait_until("the engine notices", || {
        (executions(&engine)[0]["status"] == "in_doubt").then_some(())
    });
    let mut session = place.start();
    let answer = session.call(2, &json!({"do": "hang"}));
    assert_in_doubt(&answer, &json!(2));
    assert_eq!(place.effects(), 1);
    let problem = &answer["result"]["_meta"]["openclaw-state-engine/problem"];
    let confirm = problem["confirm_url"].as_str().unwrap();
    assert_eq!(engine.send(&testkit::Request::new("POST", confirm)).status, 200);
    session.ask(3, &json!({"do": "hang"}));
    wait_until("it runs once more", || (place.effects() == 2).then_some(()));
}

#[test]
fn a_call_does_not_succeed_if_the_engine_was_killed() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut session = place.start();
    session.ask(1, &json!({"do": "wait"}));
    assert_eq!(session.answer()["method"], "notifications/progress");
    let builder = engine.kill();
    assert_in_doubt(&session.answer(), &json!(1));
    let engine = builder.start();
    assert_eq!(executions(&engine)[0]["status"], "in_doubt");
    fs::write(place.beside("go"), "").unwrap();
    assert_in_doubt(&session.call(2, &json!({"do": "wait"})), &json!(2));
    assert_eq!(place.effects(), 1);
    assert_eq!(text(&session.call(3, &json!({"n": 3}))), "did it", "others go on");
}

#[test]
fn a_client_that_leaves_does_not_stop_the_call() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut session = place.start();
    session.ask(1, &json!({"do": "wait"}));
    assert_eq!(session.answer()["method"], "notifications/progress");
    drop(session.stdin.take());
    fs::write(place.beside("go"), "").unwrap();
    assert_eq!(session.exit_code(), Some(0));
    assert_eq!(executions(&engine)[0]["status"], "completed");
    let mut session = place.start();
    assert_eq!(text(&session.call(2, &json!({"do": "wait"}))), "did it");
    assert_eq!(place.effects(), 1);
}

#[test]
fn the_server_gets_the_proxy_and_shares_the_wrappers_stderr() {
    let place = Place::new();
    let engine = place.builder.start();
    let mut wrapper = place.wrapper();
    let mut session = Session::of(wrapper.env("STATE_ENGINE_TOKEN", "hunter2").spawn().unwrap());
    let answer = session.call(1, &json!({"do": "environment"}));
    let environment: Value = serde_json::from_str(text(&answer)).unwrap();
    for name in ["http_proxy", "HTTPS_PROXY"] {
        let proxy = environment[name].as_str().unwrap();
        assert!(proxy.starts_with("http://nightly~") && proxy.ends_with(&engine.proxy.to_string()));
    }
    assert_eq!(environment["NODE_USE_ENV_PROXY"], "1");
    assert!(environment["STATE_ENGINE_TOKEN"].is_null(), "the state API's, and no server's");
    let mut stderr = BufReader::new(session.child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "server is up\n");
}

#[test]
fn the_server_gets_the_cas_to_trust() {
    let place = Place::new();
    let engine = place.builder.clone().arg("--intercept").arg("mail.example").start();
    let mut session = place.start();
    let answer = session.call(1, &json!({"do": "environment"}));
    let environment: Value = serde_json::from_str(text(&answer)).unwrap();
    let ca = engine.ca_pem();
    for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
        let file = environment[name].as_str().unwrap_or_else(|| panic!("{name}: {environment}"));
        assert!(fs::read_to_string(file).unwrap().contains(ca.trim()), "{name}");
    }
    assert_eq!(environment["SSL_CERT_DIR"], Value::Null);
}

#[test]
fn a_signal_reaches_the_server() {
    let place = Place::new();
    let _engine = place.builder.start();
    let mut session = place.start();
    session.ask(1, &json!({"do": "hang"}));
    wait_until("the server works", || place.beside("hangs").exists().then_some(()));
    kill_process(Pid::from_child(&session.child), Signal::TERM).unwrap();
    assert_eq!(session.exit_code(), Some(128 + 15));
}

#[test]
fn a_command_that_cannot_run_exits_as_in_a_shell() {
    let place = Place::new();
    let _engine = place.builder.start();
    let run = |program: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw-state-engine"));
        command.args(["mcp", "--database"]).arg(place.builder.database_path());
        command.arg("--").arg(program).stdin(Stdio::null()).output().unwrap()
    };
    let missing = run(Path::new("/nowhere/server"));
    assert_eq!(missing.status.code(), Some(127), "{missing:?}");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot run /nowhere/server"));
    assert_eq!(run(&place.server).status.code(), Some(126));
}
