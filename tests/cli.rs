//! The command line, by the real binary: what it prints, where it prints it, and how it exits.
//!
//! Snapshots show whole outputs; ids, times and ports in them are replaced by their kind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use testkit::{Builder, Engine, engine};

/// Exit code, stdout and stderr.
fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut said = format!("exit {}\n{}", output.status.code().unwrap(), text(&output.stdout));
    if !output.stderr.is_empty() {
        said.push_str("-- stderr\n");
        said.push_str(&text(&output.stderr));
    }
    said
}

fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

macro_rules! assert_said {
    ($output:expr, @$expected:literal) => {
        insta::with_settings!({filters => vec![
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[id]"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "[date and time]"),
            (r"Time: \d\d:\d\d:\d\d", "Time: [time]"),
            (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
            (r"/\S*/engine\.db", "[database]"),
            (r"\d+:[0-9a-f]{16,64}", "[seq:hash]"),
            (r"process \d+", "process [pid]"),
        ]}, { insta::assert_snapshot!(said(&$output), @$expected) });
    };
}

/// A verb on the database of `builder`.
fn verb(builder: &Builder, line: &str) -> Output {
    let database = builder.database_path().to_str().unwrap();
    builder
        .cli(shlex::split(line).unwrap().iter().map(String::as_str).chain(["--database", database]))
}

/// One execution of each kind that replay shows, all of one goal.
struct Story {
    session: String,
    doubtful: String,
}

impl Story {
    fn tell(engine: &Engine) -> Self {
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

#[test]
fn help_and_usage() {
    let builder = engine!();
    assert_said!(builder.cli(["--help"]), @"");
    assert_said!(builder.cli(["serve", "-h"]), @"");
    assert_said!(builder.cli(["resolve", "-h"]), @"");
    assert_said!(builder.cli(["nonsense"]), @"");
    assert_said!(builder.cli(["serve", "--max-request", "5MB"]), @"");
    assert_said!(verb(&builder, "resolve 0197a5b2-7c3e-7d4f-8a6b-1c2d3e4f5a6b --evidence x"), @"");
    let secretive = builder.env("STATE_ENGINE_TOKEN", "hunter2").cli(["serve", "--help"]);
    assert!(!stdout(&secretive).contains("hunter2"));
}

#[test]
fn doors_beyond_the_loopback_are_refused_before_anything_is_touched() {
    let builder = engine!();
    assert_said!(verb(&builder, "serve --addr 0.0.0.0:0"), @"");
    assert_said!(verb(&builder, "serve --addr 127.0.0.1:0 --proxy-addr 0.0.0.0:0"), @"");
    assert!(!builder.database_path().exists());
}

#[test]
fn without_a_database_there_is_nothing_to_read() {
    let builder = engine!();
    assert_said!(verb(&builder, "executions"), @"");
    for line in ["verify", "token nightly", "replay --session 0197a5b2-7c3e-7d4f-8a6b-1c2d3e4f5a6b"]
    {
        assert_eq!(verb(&builder, line).status.code(), Some(2), "{line}");
    }
    assert!(!builder.database_path().exists());
}

#[test]
fn a_server_that_holds_the_lock_and_does_not_answer_is_unreachable() {
    let builder = engine!().start().kill();
    let lock = format!("{}.lock", builder.database_path().display());
    let lock = fs::File::options().read(true).write(true).open(lock).unwrap();
    lock.lock().unwrap();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let holder =
        json!({"pid": std::process::id(), "api": format!("http://{gone}"), "version": "0"});
    fs::write(format!("{}.lock", builder.database_path().display()), holder.to_string()).unwrap();
    assert_said!(verb(&builder, "executions"), @"");
    for line in [
        "replay --session 0197a5b2-7c3e-7d4f-8a6b-1c2d3e4f5a6b",
        "resolve 0197a5b2-7c3e-7d4f-8a6b-1c2d3e4f5a6b --ran --evidence x",
    ] {
        assert_eq!(verb(&builder, line).status.code(), Some(3), "{line}");
    }
}

#[test]
fn what_is_not_there_is_a_no() {
    let running = engine!().start();
    let ask = |builder: &Builder| {
        assert_said!(verb(builder, "replay --session 0197a5b2-7c3e-7d4f-8a6b-1c2d3e4f5a6b"), @"");
        assert_said!(
            verb(builder, "resolve 0197a5b2-7c3e-7d4f-8a6b-1c2d3e4f5a6b --ran --evidence x"),
            @""
        );
    };
    ask(running.builder());
    ask(&running.kill());
}

#[test]
fn replay_beside_a_server_and_on_the_file_of_a_killed_one() {
    let running = engine!().start();
    let story = Story::tell(&running);
    let line = format!("replay --session {}", story.session);
    let beside = verb(running.builder(), &line);
    assert_said!(beside, @"");
    let stopped = verb(&running.kill(), &line);
    let expected = stdout(&beside)
        .replace("Status: Running", "Status: running (engine stopped: outcome unknown)");
    assert_eq!(stdout(&stopped), expected);
}

#[test]
fn replay_as_json_keeps_every_byte_of_an_input() {
    let running = engine!().start();
    let (user, session, goal) = running.goal("ada");
    let input = r#"{"n":123456789012345678901234567890, "f":1.00000000000000000001,"n":2}"#;
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"create_tool_execution","params":{{"user_id":"{user}","session_id":"{session}","goal_id":"{goal}","tool_name":"t","tool_input":{input}}}}}"#
    );
    assert_eq!(running.try_rpc_text(&call).unwrap().status, 200);
    let line = format!("replay --session {session} --json");
    let beside = stdout(&verb(running.builder(), &line));
    assert_eq!(beside.matches(input).count(), 1, "{beside}");
    let document: Value = serde_json::from_str(&beside).unwrap();
    assert_eq!(document["session"]["id"], session);
    assert_eq!(document["goals"][0]["id"], goal);
    assert_eq!(document["goals"][0]["executions"][0]["tool_name"], "t");
    assert_eq!(stdout(&verb(&running.kill(), &line)), beside);
}

#[test]
fn executions_are_listed_and_filtered() {
    let running = engine!().start();
    let story = Story::tell(&running);
    let beside = verb(running.builder(), "executions");
    assert_said!(beside, @"");
    assert_said!(verb(running.builder(), "executions --status in_doubt --limit 1"), @"");
    assert_said!(verb(running.builder(), "executions --tool charge --limit 1 --status failed"), @"");
    assert_said!(verb(running.builder(), "executions --tool nothing"), @"");
    assert_said!(verb(running.builder(), "executions --status done"), @"");
    let json = stdout(&verb(running.builder(), "executions --status in_doubt --json"));
    let only: Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!((&only["id"], &only["attempt"]), (&json!(story.doubtful), &json!(1)));
    let stopped = stdout(&verb(&running.kill(), "executions"));
    assert!(stopped.contains("running (engine stopped: outcome unknown)"), "{stopped}");
}

#[test]
fn json_lines_hold_one_execution_each_whatever_its_input() {
    let running = engine!().start();
    let (user, session, goal) = running.goal("ada");
    let call = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"create_tool_execution\",\"params\":{{\"user_id\":\"{user}\",\
         \"session_id\":\"{session}\",\"goal_id\":\"{goal}\",\"tool_name\":\"t\",\"tool_input\":{{\r\n\"a\":\n1}}}}}}"
    );
    for _ in 0..3 {
        running.try_rpc_text(&call).unwrap();
    }
    let lines = stdout(&verb(running.builder(), "executions --json"));
    assert_eq!(lines.lines().count(), 3);
    for line in lines.lines() {
        let execution: Value = serde_json::from_str(line).unwrap();
        assert_eq!(execution["tool_input"], json!({"a": 1}));
    }
}

#[test]
fn a_doubt_is_settled_beside_a_server() {
    let running = engine!().start();
    let story = Story::tell(&running);
    let line =
        |more: &str| format!("resolve {} --evidence 'seen in the ledger' {more}", story.doubtful);
    assert_said!(verb(running.builder(), &line("--ran --attempt 2")), @"");
    assert_said!(verb(running.builder(), &line(r#"--ran --attempt 1 --output '{"id":7}'"#)), @"");
    assert_said!(verb(running.builder(), &line("--did-not-run")), @"");
    let settled = running.rpc("get_tool_execution", &json!({"id": story.doubtful}));
    assert_eq!((&settled["status"], &settled["output"]), (&json!("completed"), &json!({"id": 7})));
}

#[test]
fn a_doubt_is_settled_without_a_server() {
    let running = engine!().start();
    let story = Story::tell(&running);
    let stopped = running.kill();
    let line = format!("resolve {} --did-not-run --evidence 'no trace'", story.doubtful);
    assert_said!(verb(&stopped, &line), @"");
    assert_said!(verb(&stopped, &line), @"");
    let again = stopped.start();
    let settled = again.rpc("get_tool_execution", &json!({"id": story.doubtful}));
    assert_eq!(settled["status"], "failed");
}

#[test]
fn verify_says_yes_and_no() {
    let running = engine!().start();
    Story::tell(&running);
    let beside = verb(running.builder(), "verify");
    assert_said!(beside, @"");
    let report: Value =
        serde_json::from_str(&stdout(&verb(running.builder(), "verify --json"))).unwrap();
    let head = report["head"].as_str().unwrap();
    assert_eq!(report["findings"], json!([]));
    let stopped = running.kill();
    stdout(&verb(&stopped, &format!("verify --head {head}")));
    let (seq, hash) = head.split_once(':').unwrap();
    let beyond = format!("{}:{hash}", seq.parse::<u64>().unwrap() + 1_000);
    assert_eq!(verb(&stopped, &format!("verify --head {beyond}")).status.code(), Some(1));
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
fn the_token_of_the_api_is_sent_by_verbs_too() {
    let running = engine!().arg("--token").arg("hunter2").start();
    let line = "executions";
    assert_said!(verb(running.builder(), line), @"");
    stdout(&verb(running.builder(), "executions --token hunter2"));
    stdout(&verb(&running.builder().clone().env("STATE_ENGINE_TOKEN", "hunter2"), line));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let running = engine!().start();
    let story = Story::tell(&running);
    let database = running.builder().database_path();
    for line in
        [vec!["executions", "--json"], vec!["replay", "--session", &story.session], vec!["verify"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_openclaw-state-engine"))
            .args(&line)
            .arg("--database")
            .arg(database)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(said(&output), "exit 0\n", "{line:?}");
    }
}

#[test]
fn colour_is_for_terminals_and_never_against_no_color() {
    let running = engine!().start();
    let story = Story::tell(&running);
    let line = format!("replay --session {}", story.session);
    let shown = |builder: Builder| stdout(&verb(&builder, &line));
    let builder = || running.builder().clone();
    assert!(shown(builder().env("CLICOLOR_FORCE", "1")).contains("\u{1b}["));
    assert!(!shown(builder()).contains('\u{1b}'));
    assert!(!shown(builder().env("NO_COLOR", "1")).contains('\u{1b}'));
}

#[test]
fn one_process_owns_a_database() {
    let running = engine!().start();
    let second = verb(running.builder(), "serve --addr 127.0.0.1:0 --proxy-addr 127.0.0.1:0");
    assert_said!(second, @"");
}

#[test]
fn a_port_in_use_is_said_and_the_store_closed_again() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let line = format!("serve --no-proxy --addr {}", taken.local_addr().unwrap());
    let builder = engine!();
    assert_said!(verb(&builder, &line), @"");
    drop(builder.start());
}

#[test]
fn a_signal_ends_it_cleanly() {
    let running = engine!().start();
    Story::tell(&running);
    running.terminate();
    let (status, builder) = running.wait();
    assert_eq!(status.code(), Some(0), "{status}");
    let again = builder.start();
    assert_eq!(again.executions(&json!({})).len(), 5);
}

#[test]
fn every_file_is_its_owners_alone() {
    let running = engine!().start();
    Story::tell(&running);
    let folder = running.builder().database_path().parent().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        assert_eq!(
            mode(&entry.path()),
            if entry.path().is_dir() { 0o700 } else { 0o600 },
            "{entry:?}"
        );
        names.push(entry.file_name().into_string().unwrap());
    }
    for name in ["engine.db", "engine.db-wal", "engine.db-shm", "engine.db.lock"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
}
