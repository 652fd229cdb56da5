//! The command line, by the real binary: what it prints, where it prints it, and how it exits.
//!
//! Snapshots show whole outputs; ids, times and ports in them are replaced by their kind.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

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
            (r"127\.0\.0\.1:[3-6]\d{4}", "127.0.0.1:[port]"),
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
    assert_said!(builder.cli(["--help"]), @"
    exit 0
    A sidecar for AI agents: their tool calls become durable, and a duplicate never acts twice

    It guards HTTP calls as a proxy (`HTTP_PROXY`), and programs that speak its JSON-RPC state API. Data
    goes to stdout, all else to stderr. Exit codes: 0 done, 1 the answer is no, 2 wrong usage or
    unexpected, 3 the server cannot be reached, 70 the disk failed under a running engine.

    Usage: openclaw-state-engine [OPTIONS] <COMMAND>

    Commands:
      serve       Run the engine: the state API and the proxy over one database
      replay      Show what a session did: its goals, and the tool executions of each
      executions  List executions, newest first
      resolve     Settle an execution that is in doubt: it ran, or it did not
      verify      Check the event chain and the store's invariants; works beside a running server too
      token       Print the proxy token of a session, for a server with --require-token
      ca          Make, show or export the CA that signs for intercepted hosts
      run         Run a program so that its tool calls are guarded, without a change of it
      doctor      Say whether everything works here, and what to do where it does not
      config      Check the configuration, or show each setting with where it comes from
      explain     Explain what would become of a request: the rule, the key, what would happen now
      mcp         Run an MCP server on stdio so that its tool calls are guarded
      help        Print this message or the help of the given subcommand(s)

    Options:
          --json
              Print JSON: one document, and for lists one a line; fields that you do not know will be
              added

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Examples:
      openclaw-state-engine serve
      openclaw-state-engine executions --status in_doubt
    ");
    assert_said!(builder.cli(["serve", "-h"]), @"
    exit 0
    Run the engine: the state API and the proxy over one database

    Usage: openclaw-state-engine serve [OPTIONS]

    Options:
          --config <FILE>              The configuration file [default: openclaw-state-engine.toml here,
                                       else in the user's config folder] [env: STATE_ENGINE_CONFIG=]
          --database <FILE>            The database file [default: openclaw-state-engine/state.db in the
                                       user's data folder] [env: STATE_ENGINE_DATABASE=]
          --token <TOKEN>              The bearer token of the state API; safer in the environment,
                                       since other users see flags [env: STATE_ENGINE_TOKEN]
          --addr <IP:PORT>             Where the state API listens; beyond the loopback only with
                                       --token [env: STATE_ENGINE_ADDR=] [default: 127.0.0.1:3030]
          --proxy-addr <IP:PORT>       Where the proxy listens; beyond the loopback only with
                                       --require-token [env: STATE_ENGINE_PROXY_ADDR=] [default:
                                       127.0.0.1:3031]
          --no-proxy                   Serve the state API alone [env: STATE_ENGINE_NO_PROXY=]
          --max-request <SIZE>         The largest request body that the proxy takes: bytes, or 16MiB,
                                       1GiB [env: STATE_ENGINE_MAX_REQUEST=] [default: 256MiB]
          --pass <HOST[:PORT]>         A host whose calls are audited and never keyed, a local model
                                       server, say; repeatable [env: STATE_ENGINE_PASS=]
          --intercept <HOST[:PORT]>    A host (or *.HOST) whose TLS the proxy opens, so that its calls
                                       are guarded; its clients must trust the CA that `ca export`
                                       prints; repeatable [env: STATE_ENGINE_INTERCEPT=]
          --upstream-ca <[HOST=]FILE>  A file of CA certificates that upstreams may be verified by,
                                       besides the system's; with HOST= for that host alone; repeatable
                                       [env: STATE_ENGINE_UPSTREAM_CA=]
          --require-token              The proxy takes only calls with credentials SESSION:TOKEN; `token
                                       SESSION` prints one [env: STATE_ENGINE_REQUIRE_TOKEN=]
          --upstream-proxy <URL>       The proxy that calls go out through:
                                       http://[USER:PASSWORD@]HOST:PORT [env:
                                       STATE_ENGINE_UPSTREAM_PROXY]
          --upstream-direct <HOSTS>    Hosts that are reached without --upstream-proxy, in the form of
                                       `NO_PROXY` [env: STATE_ENGINE_UPSTREAM_DIRECT=]
          --allow-host <HOST[:PORT]>   A further Host that the state API answers to, besides the
                                       loopback's names; repeatable [env: STATE_ENGINE_ALLOW_HOST=]
          --allow-origin <ORIGIN>      A web origin whose pages may use the state API (`null`: a page
                                       opened as a file); repeatable [env: STATE_ENGINE_ALLOW_ORIGIN=]
          --log-format <FORMAT>        How the log is written to stderr [env: STATE_ENGINE_LOG_FORMAT=]
                                       [default: human] [possible values: human, json]
          --drain <SECONDS>            How long running calls get at a stop [env: STATE_ENGINE_DRAIN=]
                                       [default: 30s]
          --max-wait <SECONDS>         How long a duplicate of a running call waits for its answer [env:
                                       STATE_ENGINE_MAX_WAIT=] [default: 300s]
          --json                       Print JSON: one document, and for lists one a line; fields that
                                       you do not know will be added
      -h, --help                       Print help (see more with '--help')
      -V, --version                    Print version

    Examples:
      openclaw-state-engine serve
      openclaw-state-engine serve --database agent.db --max-request 16MiB
      openclaw-state-engine serve --pass 127.0.0.1:11434 --log-format json
      openclaw-state-engine serve --addr 127.0.0.1:0 --no-proxy --json
    ");
    assert_said!(builder.cli(["resolve", "-h"]), @r#"
    exit 0
    Settle an execution that is in doubt: it ran, or it did not

    Usage: openclaw-state-engine resolve [OPTIONS] --evidence <TEXT> <--ran|--did-not-run> <ID>

    Arguments:
      <ID>  The execution

    Options:
          --ran              It took effect
          --did-not-run      It did not take effect
          --attempt <N>      The attempt that was looked at: refused where another one is in doubt by
                             now [default: the newest]
          --output <JSON>    What the tool answered, where it ran and that is known
          --evidence <TEXT>  How you know: 1 to 4,096 characters
          --config <FILE>    The configuration file [default: openclaw-state-engine.toml here, else in
                             the user's config folder] [env: STATE_ENGINE_CONFIG=]
          --database <FILE>  The database file [default: openclaw-state-engine/state.db in the user's
                             data folder] [env: STATE_ENGINE_DATABASE=]
          --token <TOKEN>    The bearer token of the state API; safer in the environment, since other
                             users see flags [env: STATE_ENGINE_TOKEN]
          --json             Print JSON: one document, and for lists one a line; fields that you do not
                             know will be added
      -h, --help             Print help (see more with '--help')
      -V, --version          Print version

    Examples:
      openclaw-state-engine executions --status in_doubt
      openclaw-state-engine resolve [id] \
        --did-not-run --evidence 'not in the provider log of 23 Feb'
      openclaw-state-engine resolve [id] \
        --ran --attempt 1 --output '{"id":"ch_1"}' --evidence 'ch_1 is there'
    "#);
    assert_said!(builder.cli(["nonsense"]), @"
    exit 2
    -- stderr
    error: unrecognized subcommand 'nonsense'

    Usage: openclaw-state-engine [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_said!(builder.cli(["serve", "--max-request", "5MB"]), @r#"
    exit 2
    -- stderr
    error: invalid value '5MB' for '--max-request <SIZE>': the unit "MB" is none of B, KiB, MiB, GiB

    For more information, try '--help'.
    "#);
    assert_said!(verb(&builder, "resolve 0197a5b2-7c3e-7d4f-8a6b-1c2d3e4f5a6b --evidence x"), @"
    exit 2
    -- stderr
    error: the following required arguments were not provided:
      <--ran|--did-not-run>

    Usage: openclaw-state-engine resolve --evidence <TEXT> --database <FILE> <--ran|--did-not-run> <ID>

    For more information, try '--help'.
    ");
    let secretive = builder.env("STATE_ENGINE_TOKEN", "hunter2").cli(["serve", "--help"]);
    assert!(!stdout(&secretive).contains("hunter2"));
}

#[test]
fn what_is_wrong_with_a_secret_is_told_without_it() {
    for (name, value) in [
        ("STATE_ENGINE_TOKEN", "hunter2 and more"),
        ("STATE_ENGINE_UPSTREAM_PROXY", "socks5://ann:hunter2@proxy:1080"),
    ] {
        let builder = engine!().env(name, value);
        for line in [vec!["serve"], vec!["run", "--", "true"]] {
            let output = builder.cli(&line);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(
                said.contains("invalid value '[redacted]'") && !said.contains("hunter2"),
                "{said}"
            );
        }
    }
}

#[test]
fn doors_beyond_the_loopback_are_refused_before_anything_is_touched() {
    let builder = engine!();
    assert_said!(verb(&builder, "serve --addr 0.0.0.0:0"), @"
    exit 2
    -- stderr
    error: --addr 0.0.0.0:0 can be reached by other machines: set a token with --token or STATE_ENGINE_TOKEN
    ");
    assert_said!(verb(&builder, "serve --addr 127.0.0.1:0 --proxy-addr 0.0.0.0:0"), @"
    exit 2
    -- stderr
    error: --proxy-addr 0.0.0.0:0 can be reached by other machines: add --require-token
    ");
    assert!(!builder.database_path().exists());
}

#[test]
fn without_a_database_there_is_nothing_to_read() {
    let builder = engine!();
    assert_said!(verb(&builder, "executions"), @"
    exit 2
    -- stderr
    error: there is no database at [database]; start the server, or name another file with --database
    ");
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
    assert_said!(verb(&builder, "executions"), @"
    exit 3
    -- stderr
    error: the server at http://127.0.0.1:[port]/ cannot be reached: Connection refused (os error 111)
    ");
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
    let nobody = "0197a5b2-7c3e-7d4f-8a6b-1c2d3e4f5a6b";
    let replay = format!("replay --session {nobody}");
    let resolve = format!("resolve {nobody} --ran --evidence x");
    let beside = [&replay, &resolve].map(|line| verb(running.builder(), line));
    assert_said!(beside[0], @"
    exit 1
    -- stderr
    There is no session [id].
    ");
    assert_said!(beside[1], @"
    exit 1
    -- stderr
    There is no execution [id].
    ");
    let stopped = running.kill();
    let without = [&replay, &resolve].map(|line| verb(&stopped, line));
    assert_eq!(without.map(|output| said(&output)), beside.map(|output| said(&output)));
}

#[test]
fn replay_beside_a_server_and_on_the_file_of_a_killed_one() {
    let running = engine!().start();
    let story = Story::tell(&running);
    let line = format!("replay --session {}", story.session);
    let beside = verb(running.builder(), &line);
    assert_said!(beside, @r#"
    exit 0
    ╔═══════════════════════════════════════╗
    ║            SESSION REPLAY             ║
    ╚═══════════════════════════════════════╝
    Session ID: [id]
    User ID: [id]
    Status: Active
    Created: [date and time] UTC
    ┌───────────────────────────────────────┐
    │ GOALS (1)                             │
    └───────────────────────────────────────┘
    Goal #1: a goal
      Status: Pending
      Priority: Medium
      ┌── TOOL EXECUTIONS (5) ──
      │
      │ Tool: send_email
      │ Status: Pending
      │ Input: {"subject":"Welcome!","to":"user@example.com"}
      │ Idempotency Key: welcome-email-001
      │ Time: [time]
      │
      │ Tool: charge
      │ Status: Completed
      │ Input: {"cents":100}
      │ Output: {"ok":true}
      │ Idempotency Key: charge-1
      │ Time: [time]
      │
      │ Tool: charge
      │ Status: Failed
      │ Input: {"cents":200}
      │ Error: card\u001b[31m declined
      │ Idempotency Key: charge-2
      │ Time: [time]
      │
      │ Tool: charge
      │ Status: In Doubt
      │ Input: {"cents":300}
      │ Error: timeout
      │ Idempotency Key: charge-3
      │ Time: [time]
      │ Settle: openclaw-state-engine resolve [id] --attempt 1 (--ran | --did-not-run) --evidence TEXT
      │
      │ Tool: charge
      │ Status: Running
      │ Input: {"cents":400}
      │ Idempotency Key: charge-4
      │ Time: [time]
      └───────────────────────────
    ═════════════════════════════════════════
    Replay complete. 1 goal(s), 5 execution(s) total.
    "#);
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
    assert_said!(beside, @"
    exit 0
    ID                                    STATUS     ATTEMPT  CREATED              TOOL        KEY
    [id]  running    1        [date and time]  charge      charge-4
    [id]  in_doubt   1        [date and time]  charge      charge-3
    [id]  failed     1        [date and time]  charge      charge-2
    [id]  completed  1        [date and time]  charge      charge-1
    [id]  pending    0        [date and time]  send_email  welcome-email-001
    ");
    assert_said!(verb(running.builder(), "executions --status in_doubt"), @"
    exit 0
    ID                                    STATUS    ATTEMPT  CREATED              TOOL    KEY
    [id]  in_doubt  1        [date and time]  charge  charge-3
    ");
    assert_said!(verb(running.builder(), "executions --limit 2"), @"
    exit 0
    ID                                    STATUS    ATTEMPT  CREATED              TOOL    KEY
    [id]  running   1        [date and time]  charge  charge-4
    [id]  in_doubt  1        [date and time]  charge  charge-3
    -- stderr
    There are more than 2: see --limit.
    ");
    assert_said!(verb(running.builder(), "executions --tool charge --limit 1 --status failed"), @"
    exit 0
    ID                                    STATUS  ATTEMPT  CREATED              TOOL    KEY
    [id]  failed  1        [date and time]  charge  charge-2
    ");
    assert_said!(verb(running.builder(), "executions --tool nothing"), @"
    exit 0
    ");
    assert_said!(verb(running.builder(), "executions --status done"), @r#"
    exit 2
    -- stderr
    error: invalid value 'done' for '--status <STATUS>': "done" is not one of pending, running, completed, failed, cancelled, in_doubt

    For more information, try '--help'.
    "#);
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
    assert_said!(verb(running.builder(), &line("--ran --attempt 2")), @"
    exit 1
    -- stderr
    the execution is in_doubt at attempt 1, not in doubt at attempt 2
    ");
    assert_said!(verb(running.builder(), &line(r#"--ran --attempt 1 --output '{"id":7}'"#)), @"
    exit 0
    Execution [id] is now completed (executed).
    ");
    assert_said!(verb(running.builder(), &line("--did-not-run")), @"
    exit 1
    -- stderr
    Execution [id] is not in doubt: it is completed.
    ");
    let settled = running.rpc("get_tool_execution", &json!({"id": story.doubtful}));
    assert_eq!((&settled["status"], &settled["output"]), (&json!("completed"), &json!({"id": 7})));
}

#[test]
fn a_doubt_is_settled_without_a_server() {
    let running = engine!().start();
    let story = Story::tell(&running);
    let stopped = running.kill();
    let line = format!("resolve {} --did-not-run --evidence 'no trace'", story.doubtful);
    assert_said!(verb(&stopped, &line), @"
    exit 0
    Execution [id] is now failed (not executed).
    ");
    assert_said!(verb(&stopped, &line), @"
    exit 1
    -- stderr
    Execution [id] is not in doubt: it is failed.
    ");
    let again = stopped.start();
    let settled = again.rpc("get_tool_execution", &json!({"id": story.doubtful}));
    assert_eq!(settled["status"], "failed");
}

#[test]
fn verify_says_yes_and_no() {
    let running = engine!().start();
    Story::tell(&running);
    let beside = verb(running.builder(), "verify");
    assert_said!(beside, @"
    exit 0
    Head: [seq:hash]
    12 event(s) and 5 execution(s) checked, 0 problem(s) found.
    ");
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
    assert_said!(verb(running.builder(), line), @"
    exit 2
    -- stderr
    error: the server wants a token: give it by --token or STATE_ENGINE_TOKEN
    ");
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
    let forced = builder().env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1");
    assert!(!shown(forced).contains('\u{1b}'));
}

#[test]
fn one_process_owns_a_database() {
    let running = engine!().start();
    let second = verb(running.builder(), "serve --addr 127.0.0.1:0 --proxy-addr 127.0.0.1:0");
    assert_said!(second, @"
    exit 2
    -- stderr
    error: the database is in use by process [pid] (version 0.2.0, API http://127.0.0.1:[port]); stop it, or name another file with --database
    ");
}

#[test]
fn a_port_in_use_is_said_and_the_store_closed_again() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let line = format!("serve --no-proxy --addr {}", taken.local_addr().unwrap());
    let builder = engine!().env("STATE_ENGINE_LOG", "error");
    assert_said!(verb(&builder, &line), @"
    exit 2
    -- stderr
    error: cannot listen on 127.0.0.1:[port] (choose another with --addr): Address already in use (os error 98)
    ");
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
