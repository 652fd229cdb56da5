//! The command line through the real binary: what it prints, where it prints it, and how it exits.
//!
//! Snapshots show whole outputs. Ids, times and ports in them are replaced by their kind.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

macro_rules! assert_output {
    ($output:expr, @$expected:literal) => {
        insta::with_settings!({filters => vec![
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[id]"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "[date and time]"),
            (r"Time: \d\d:\d\d:\d\d", "Time: [time]"),
            (r"127\.0\.0\.1:[3-6]\d{4}", "127.0.0.1:[port]"),
            (r"/\S*/engine\.db", "[database]"),
            (r"\d+:[0-9a-f]{16,64}", "[seq:hash]"),
            (r"process \d+", "process [pid]"),
        ]}, { insta::assert_snapshot!($crate::shown(&$output), @$expected) });
    };
}

mod doctor;
mod examples;
mod executions;
mod names;
mod output;
mod private;
mod replay;
mod serve;
mod tokens;

use std::process::Output;

use serde_json::{Value, json};
use testkit::{Builder, Engine};

/// Exit code, stdout and stderr.
fn shown(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut shown = format!("exit {}\n{}", output.status.code().unwrap(), text(&output.stdout));
    if !output.stderr.is_empty() {
        shown.push_str("-- stderr\n");
        shown.push_str(&text(&output.stderr));
    }
    shown
}

fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", shown(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Runs a verb on the database of `builder`.
fn verb(builder: &Builder, line: &str) -> Output {
    let database = builder.database_path().to_str().unwrap();
    builder
        .cli(shlex::split(line).unwrap().iter().map(String::as_str).chain(["--database", database]))
}

/// One execution of each kind that `replay` shows, all of one goal.
struct Story {
    session: String,
    doubtful: String,
}

impl Story {
    fn record(engine: &Engine) -> Self {
        let (user, session, goal) = engine.goal("ada");
        let call = |tool: &str, input: Value, key: &str, lease: bool| {
            let answer = engine.rpc(
                "execute_tool_idempotent",
                &json!({"user_id": user, "session_id": session, "goal_id": goal, "tool_name": tool,
                        "tool_input": input, "idempotency_key": key, "lease": lease}),
            );
            (answer["id"].as_str().unwrap().to_owned(), answer["lease"].as_str().map(str::to_owned))
        };
        let finish = |lease: Option<String>, outcome: &str, more: Value| {
            let mut params = json!({"lease": lease, "outcome": outcome});
            params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            engine.rpc("finish_tool_execution", &params);
        };
        let email = json!({"to": "user@example.com", "subject": "Welcome!"});
        call("send_email", email, "welcome-email-001", false);
        let (_, lease) = call("charge", json!({"cents": 100}), "charge-1", true);
        finish(lease, "executed", json!({"output": {"ok": true}}));
        let (_, lease) = call("charge", json!({"cents": 200}), "charge-2", true);
        finish(lease, "executed", json!({"error": "card\u{1b}[31m declined"}));
        let (doubtful, lease) = call("charge", json!({"cents": 300}), "charge-3", true);
        finish(lease, "unknown", json!({"error": "timeout"}));
        call("charge", json!({"cents": 400}), "charge-4", true);
        Self { session, doubtful }
    }
}
