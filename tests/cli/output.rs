//! What is printed for people and for programs, and where: help, wrong usage, colour, a closed pipe.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;
use testkit::{Builder, engine};

use crate::{Story, said, stdout, verb};

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
fn help_of_serve() {
    let builder = engine!();
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
                                       `http://[USER:PASSWORD@]HOST:PORT` [env:
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
}

#[test]
fn help_of_resolve() {
    let builder = engine!();
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
