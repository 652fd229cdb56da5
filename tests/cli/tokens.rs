//! Secrets on the command line: tokens of the API and of sessions.

use serde_json::{Value, json};
use testkit::engine;

use crate::{stdout, verb};

#[test]
fn an_error_about_a_secret_does_not_show_it() {
    for (name, value) in [
        ("STATE_ENGINE_TOKEN", "hunter2 and more"),
        ("STATE_ENGINE_UPSTREAM_PROXY", "socks5://ann:hunter2@proxy:1080"),
    ] {
        let builder = engine!().env(name, value);
        for line in [vec!["serve"], vec!["run", "--", "true"]] {
            let output = builder.cli(&line);
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{stderr}");
            assert!(
                stderr.contains("invalid value '[redacted]'") && !stderr.contains("hunter2"),
                "{stderr}"
            );
        }
    }
}

#[test]
fn a_session_has_one_token() {
    let running = engine!().start();
    let beside = stdout(&verb(running.builder(), "token nightly"));
    assert!(beside.trim().len() >= 32, "{beside}");
    assert_ne!(stdout(&verb(running.builder(), "token daily")), beside);
    let stopped = running.kill();
    assert_eq!(stdout(&verb(&stopped, "token nightly")), beside);
    let json: Value =
        serde_json::from_str(&stdout(&verb(&stopped, "token nightly --json"))).unwrap();
    assert_eq!(json, json!({"session": "nightly", "token": beside.trim()}));
}

#[test]
fn the_other_verbs_send_the_token_of_the_api_too() {
    let running = engine!().arg("--token").arg("hunter2").start();
    let line = "executions";
    assert_output!(verb(running.builder(), line), @"
    exit 2
    -- stderr
    error: the server requires a token: use --token or STATE_ENGINE_TOKEN
    ");
    stdout(&verb(running.builder(), "executions --token hunter2"));
    stdout(&verb(&running.builder().clone().env("STATE_ENGINE_TOKEN", "hunter2"), line));
}
