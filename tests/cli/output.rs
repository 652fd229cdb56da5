//! What is printed for people and for programs, and where: help, wrong usage, colour, closed pipes.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;
use testkit::{Builder, engine};

use crate::{Story, shown, stdout, verb};

#[test]
fn help_and_usage() {
    let builder = engine!();
    assert_output!(builder.cli(["--help"]), @"
    exit 0
    A sidecar for AI agents: their tool calls become durable, and a duplicate never acts twice

    It guards HTTP calls as a proxy (`HTTP_PROXY`), and programs that use its JSON-RPC state API. Data
    goes to stdout, everything else to stderr. Exit codes: 0 done, 1 the answer is no, 2 wrong usage or
    an unexpected error, 3 the server cannot be reached, 70 the disk failed while the engine ran.

    Usage: openclaw-state-engine [OPTIONS] <COMMAND>

    Commands:
      serve       Run the engine: the state API and the proxy over one database
      replay      Show what a session did: its goals, and the tool executions of each
      executions  List executions, newest first
      resolve     Settle an execution that is in doubt: it ran, or it did not
      verify      Check the event chain and the invariants of the store, also while a server is running
      token       Print the proxy token of a session, for a server with --require-token
      ca          Create, show or export the CA that signs for intercepted hosts
      run         Run a program with its tool calls guarded
      doctor      Check whether everything works here, and say what to do if not
      config      Check the configuration, or show each setting with where it comes from
      explain     Explain what would happen to a request: the rule, the key, the outcome
      mcp         Run an MCP server on stdio with its tool calls guarded
      help        Print this message or the help of the given subcommand(s)

    Options:
          --json
              Print JSON: one document, or for lists one per line; later versions may add members

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Examples:
      openclaw-state-engine serve
      openclaw-state-engine executions --status in_doubt
    ");
    assert_output!(builder.cli(["nonsense"]), @"
    exit 2
    -- stderr
    error: unrecognized subcommand 'nonsense'

    Usage: openclaw-state-engine [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_output!(builder.cli(["serve", "--max-request", "5MB"]), @r#"
    exit 2
    -- stderr
    error: invalid value '5MB' for '--max-request <SIZE>': unknown unit "MB": use B, KiB, MiB or GiB

    For more information, try '--help'.
    "#);
    assert_output!(verb(&builder, "resolve 0197a5b2-7c3e-7d4f-8a6b-1c2d3e4f5a6b --evidence x"), @"
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
fn help_of_serve() {
    let builder = engine!();
    assert_output!(builder.cli(["serve", "-h"]), @"
    exit 0
    Run the engine: the state API and the proxy over one database

    Usage: openclaw-state-engine serve [OPTIONS]

    Options:
          --config <FILE>              Configuration file [default: openclaw-state-engine.toml here,
                                       else in the user's config folder] [env: STATE_ENGINE_CONFIG=]
          --database <FILE>            Database file [default: openclaw-state-engine/state.db in the
                                       user's data folder] [env: STATE_ENGINE_DATABASE=]
          --token <TOKEN>              Bearer token of the state API; prefer the environment, since
                                       other users can see flags [env: STATE_ENGINE_TOKEN]
          --addr <IP:PORT>             Address of the state API; beyond the loopback only with --token
                                       [env: STATE_ENGINE_ADDR=] [default: 127.0.0.1:3030]
          --proxy-addr <IP:PORT>       Address of the proxy; beyond the loopback only with
                                       --require-token [env: STATE_ENGINE_PROXY_ADDR=] [default:
                                       127.0.0.1:3031]
          --no-proxy                   Serve only the state API [env: STATE_ENGINE_NO_PROXY=]
          --max-request <SIZE>         Largest body of a guarded request: bytes, or 16MiB, 1GiB [env:
                                       STATE_ENGINE_MAX_REQUEST=] [default: 256MiB]
          --pass <HOST[:PORT]>         Host whose calls are audited and never keyed, such as a local
                                       model server; can be repeated [env: STATE_ENGINE_PASS=]
          --intercept <HOST[:PORT]>    Host (or *.HOST) whose TLS the proxy opens, so that its calls are
                                       guarded; its clients must trust the CA that `ca export` prints;
                                       can be repeated [env: STATE_ENGINE_INTERCEPT=]
          --upstream-ca <[HOST=]FILE>  File of CA certificates for upstreams, in addition to the
                                       system's; HOST= limits it to one host; can be repeated [env:
                                       STATE_ENGINE_UPSTREAM_CA=]
          --require-token              Accept only calls with proxy credentials SESSION:TOKEN; `token
                                       SESSION` prints the token [env: STATE_ENGINE_REQUIRE_TOKEN=]
          --upstream-proxy <URL>       Proxy for outgoing calls: http://[USER:PASSWORD@]HOST:PORT [env:
                                       STATE_ENGINE_UPSTREAM_PROXY]
          --upstream-direct <HOSTS>    Hosts to reach without --upstream-proxy, in the form of
                                       `NO_PROXY` [env: STATE_ENGINE_UPSTREAM_DIRECT=]
          --allow-host <HOST[:PORT]>   Another Host that the state API answers to, besides the names of
                                       the loopback; can be repeated [env: STATE_ENGINE_ALLOW_HOST=]
          --allow-origin <ORIGIN>      Web origin whose pages may use the state API (`null` for a page
                                       opened as a file); can be repeated [env:
                                       STATE_ENGINE_ALLOW_ORIGIN=]
          --log-format <FORMAT>        Format of the log on stderr [env: STATE_ENGINE_LOG_FORMAT=]
                                       [default: human] [possible values: human, json]
          --drain <DURATION>           Shutdown grace period for running calls [env:
                                       STATE_ENGINE_DRAIN=] [default: 30s]
          --max-wait <DURATION>        How long a duplicate waits for the answer of the running call
                                       [env: STATE_ENGINE_MAX_WAIT=] [default: 300s]
          --new-database               Create a database also if files beside it say that there was one:
                                       calls that ran before may run again
          --accept-loss                Start also if records are missing that were on disk: calls that
                                       ran before may run again
          --json                       Print JSON: one document, or for lists one per line; later
                                       versions may add members
      -h, --help                       Print help (see more with '--help')
      -V, --version                    Print version

    Examples:
      openclaw-state-engine serve
      openclaw-state-engine serve --database agent.db --max-request 16MiB
      openclaw-state-engine serve --pass 127.0.0.1:11434 --log-format json
      openclaw-state-engine serve --addr 127.0.0.1:0 --no-proxy --json
    ");
}

#[test]
fn help_of_resolve() {
    let builder = engine!();
    assert_output!(builder.cli(["resolve", "-h"]), @r#"
    exit 0
    Settle an execution that is in doubt: it ran, or it did not

    Usage: openclaw-state-engine resolve [OPTIONS] --evidence <TEXT> <--ran|--did-not-run> <ID>

    Arguments:
      <ID>  Execution: its id, or the beginning of it

    Options:
          --ran              It took effect
          --did-not-run      It did not take effect
          --attempt <N>      Attempt that you looked at: refused if a different one is in doubt by now
                             [default: the newest]
          --output <JSON>    Answer of the tool, if it ran and you know it
          --evidence <TEXT>  How you know: 1 to 4,096 characters
          --config <FILE>    Configuration file [default: openclaw-state-engine.toml here, else in the
                             user's config folder] [env: STATE_ENGINE_CONFIG=]
          --database <FILE>  Database file [default: openclaw-state-engine/state.db in the user's data
                             folder] [env: STATE_ENGINE_DATABASE=]
          --token <TOKEN>    Bearer token of the state API; prefer the environment, since other users
                             can see flags [env: STATE_ENGINE_TOKEN]
          --json             Print JSON: one document, or for lists one per line; later versions may add
                             members
      -h, --help             Print help (see more with '--help')
      -V, --version          Print version

    Examples:
      openclaw-state-engine executions --status in_doubt
      openclaw-state-engine resolve [id] \
        --did-not-run --evidence 'not in the provider log of 23 Feb'
      openclaw-state-engine resolve [id] \
        --ran --attempt 1 --output '{"id":"ch_1"}' --evidence 'ch_1 is there'
    "#);
}

#[test]
fn without_a_database_there_is_nothing_to_read() {
    let builder = engine!();
    assert_output!(verb(&builder, "executions"), @"
    exit 2
    -- stderr
    error: no database at [database]: start the server, or name a different file with --database
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
    assert_output!(verb(&builder, "executions"), @"
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
fn what_does_not_exist_exits_with_1() {
    let running = engine!().start();
    let nobody = "0197a5b2-7c3e-7d4f-8a6b-1c2d3e4f5a6b";
    let replay = format!("replay --session {nobody}");
    let resolve = format!("resolve {nobody} --ran --evidence x");
    let beside = [&replay, &resolve].map(|line| verb(running.builder(), line));
    assert_output!(beside[0], @"
    exit 1
    -- stderr
    No session has the id [id].
    ");
    assert_output!(beside[1], @"
    exit 1
    -- stderr
    No execution has the id [id].
    ");
    let stopped = running.kill();
    let without = [&replay, &resolve].map(|line| verb(&stopped, line));
    assert_eq!(without.map(|output| shown(&output)), beside.map(|output| shown(&output)));
}

#[test]
fn a_reader_that_closes_the_pipe_is_not_an_error() {
    let running = engine!().start();
    let story = Story::record(&running);
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
        assert_eq!(shown(&output), "exit 0\n", "{line:?}");
    }
}

#[test]
fn colour_is_for_terminals_and_never_against_no_color() {
    let running = engine!().start();
    let story = Story::record(&running);
    let line = format!("replay --session {}", story.session);
    let shown = |builder: Builder| stdout(&verb(&builder, &line));
    let builder = || running.builder().clone();
    assert!(shown(builder().env("CLICOLOR_FORCE", "1")).contains("\u{1b}["));
    assert!(!shown(builder()).contains('\u{1b}'));
    let forced = builder().env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1");
    assert!(!shown(forced).contains('\u{1b}'));
}

/// C1 controls and the property `Bidi_Control` of Unicode, in all that is printed. JSON stays what it is.
#[test]
fn nothing_that_is_printed_acts_on_a_terminal() {
    let deceptive: String = ('\u{80}'..='\u{9f}')
        .chain(['\u{7f}', '\u{61c}', '\u{200e}', '\u{200f}'])
        .chain('\u{202a}'..='\u{202e}')
        .chain('\u{2066}'..='\u{2069}')
        .collect();
    let engine = engine!().arg("--no-proxy").start();
    let (user, session, goal) = engine.goal(&format!("ada{deceptive}"));
    let call = json!({"user_id": user, "session_id": session, "goal_id": goal, "tool_name": format!("t{deceptive}"),
        "tool_input": {"text": deceptive, "raw": "\u{1b}[2J"}, "idempotency_key": format!("k{deceptive}")});
    engine.rpc("execute_tool_idempotent", &call);
    let builder = engine.builder();
    for args in [
        &["executions"][..],
        &["executions", "--json"],
        &["replay", "--session", &session],
        &["replay", "--session", &session, "--json"],
        &["replay", "--session", &deceptive],
        &["executions", "--session", &deceptive],
        &["verify", "--json"],
        &["explain", "POST", &format!("http://h/{deceptive}")],
        &["explain", "POST", &format!("http://h/{deceptive}"), "--json"],
    ] {
        let database = ["--database".as_ref(), builder.database_path().as_os_str()];
        let output = builder.cli(args.iter().map(AsRef::as_ref).chain(database));
        for text in [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()) {
            let acts =
                |c: char| deceptive.contains(c) || c.is_control() && !matches!(c, '\n' | '\t');
            assert!(!text.contains(acts), "{args:?}: {text:?}");
        }
    }
    let database = builder.database_path().to_str().unwrap();
    let listed = builder.cli(["executions", "--json", "--database", database]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["tool_input"]["text"], deceptive, "an escape is read as its character");
}
