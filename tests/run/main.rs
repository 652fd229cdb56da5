//! `run`: an unchanged program is guarded, by the running engine or by one that `run` starts. Its signals,
//! its status, and the end of its session.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod api;
mod environment;
mod sessions;
mod signals;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::{Builder, Gate, Upstream, engine};

fn run(builder: &Builder, args: &[&str]) -> Command {
    let mut command = builder.command();
    command.arg("run").arg("--database").arg(builder.database_path()).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a line of shell, in which `$URL` is the upstream's.
fn shell(builder: &Builder, session: &str, upstream: &Upstream, line: &str) -> Output {
    let session = ["--session", session];
    let flags = if session[1].is_empty() { &[][..] } else { &session[..] };
    let mut command = run(builder, flags);
    command.args(["--", "sh", "-c", line]).env("URL", upstream.url("/act"));
    command.output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// All executions of the store, newest first. No engine may run.
fn executions(builder: &Builder) -> Vec<Value> {
    let database = builder.database_path().to_str().unwrap();
    let listed = builder.cli(["executions", "--json", "--database", database]);
    assert!(listed.status.success(), "{}", err(&listed));
    out(&listed).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const POST: &str = "curl -sS -d hello $URL; echo";

/// `outer`, followed by the program of `inner` and its arguments, with its environment.
fn within(mut outer: Command, inner: &Command) -> Command {
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

#[test]
fn an_unchanged_program_has_one_effect_and_its_session_is_completed() {
    let (builder, upstream) = (engine!(), Upstream::echo());
    let ran = shell(&builder, "trip", &upstream, &format!("{POST}; {POST}"));
    assert_eq!(ran.status.code(), Some(0), "{}", err(&ran));
    assert_eq!(out(&ran), "1 POST /act hello\n1 POST /act hello\n");
    assert_eq!(err(&ran), "", "there is nothing to report");
    assert_eq!(upstream.hits(), 1);
    let sent = upstream.only();
    assert!(sent.header("proxy-authorization").is_none() && sent.header("via").is_some());

    // The session was completed: the same call in the next session of this name is a new call.
    let again = shell(&builder, "trip", &upstream, POST);
    assert_eq!(out(&again), "2 POST /act hello\n");
    let recorded = executions(&builder);
    assert_eq!(recorded.len(), 2, "{recorded:#?}");
    assert_ne!(recorded[0]["session_id"], recorded[1]["session_id"]);
}

#[test]
fn the_next_run_continues_a_failed_one() {
    let (builder, upstream) = (engine!(), Upstream::echo());
    let first =
        shell(&builder, "trip", &upstream, &format!("{POST}; echo $STATE_ENGINE_RUN; exit 7"));
    assert_eq!(first.status.code(), Some(7), "{}", err(&first));
    let second = shell(&builder, "trip", &upstream, &format!("{POST}; echo $STATE_ENGINE_RUN"));
    assert_eq!(second.status.code(), Some(0), "{}", err(&second));
    let (first, second) = (out(&first), out(&second));
    let (first, second): (Vec<_>, Vec<_>) = (first.lines().collect(), second.lines().collect());
    assert_eq!((first[0], second[0]), ("1 POST /act hello", "1 POST /act hello"));
    assert_eq!(upstream.hits(), 1);

    // The event of the claim has the run.
    assert_ne!(first[1], second[1], "each run has its own id");
    let engine = builder.start();
    let execution = &engine.proxied()[0];
    let events = engine.rpc("list_events", &json!({"execution_id": execution["id"]}));
    let claimed = events.as_array().unwrap().iter().find(|event| event["kind"] == "claimed");
    assert_eq!(claimed.unwrap()["detail"]["run"], first[1], "{events}");
    let session = engine.rpc("get_session", &json!({"id": execution["session_id"]}));
    assert_eq!(session["status"], "completed");
}

#[test]
fn without_a_name_each_run_has_its_own_session_and_prints_its_name() {
    let (builder, upstream) = (engine!(), Upstream::echo());
    let first = shell(&builder, "", &upstream, &format!("{POST}; exit 1"));
    let stderr = err(&first);
    let name = stderr.split("--session ").nth(1).unwrap().split(')').next().unwrap();
    assert_eq!(out(&shell(&builder, "", &upstream, POST)), "2 POST /act hello\n");
    assert_eq!(out(&shell(&builder, name, &upstream, POST)), "1 POST /act hello\n");
}

#[test]
fn the_status_of_the_program_is_passed_on() {
    let (builder, upstream) = (engine!(), Upstream::echo());
    for (line, status) in
        [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
    {
        let ran = shell(&builder, "s", &upstream, line);
        assert_eq!(ran.status.code(), Some(status), "{line}: {}", err(&ran));
    }
    for (program, status) in [("/nowhere/at/all", 127), ("/", 126)] {
        let ran = run(&builder, &["--", program]).output().unwrap();
        assert_eq!(ran.status.code(), Some(status), "{program}: {}", err(&ran));
        assert!(err(&ran).contains(&format!("cannot run {program}")), "{}", err(&ran));
    }
}

#[test]
fn wrong_usage_is_reported_before_anything_runs() {
    let builder = engine!();
    let refused = |args: &[&str]| {
        let ran = run(&builder, args).output().unwrap();
        assert_eq!((ran.status.code(), out(&ran)), (Some(2), String::new()), "{args:?}");
        err(&ran)
    };
    refused(&["--session", "s"]);
    assert!(refused(&["--session", "a:b", "--", "echo"]).contains("colon"));
    let unknown = "0198c0de-0000-7000-8000-000000000001";
    assert!(refused(&["--session", unknown, "--", "echo"]).contains("there is no session"));
    let mut socks = run(&builder, &["--", "echo"]);
    let ran = socks.env("ALL_PROXY", "socks5://ann:hunter2@127.0.0.1:1").output().unwrap();
    assert_eq!((ran.status.code(), out(&ran)), (Some(2), String::new()));
    assert!(err(&ran).contains("--upstream-proxy none"), "{}", err(&ran));
    assert!(!err(&ran).contains("hunter2"));
}

/// The lines that a program prints, while it runs.
struct Lines(std::io::Lines<BufReader<std::process::ChildStdout>>);

impl Lines {
    fn of(child: &mut Child) -> Self {
        Self(BufReader::new(child.stdout.take().unwrap()).lines())
    }

    #[track_caller]
    fn expect(&mut self, line: &str) {
        assert_eq!(self.0.next().unwrap().unwrap(), line);
    }
}

#[test]
fn signals_reach_the_program_and_its_reaction_counts() {
    let builder = engine!();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1] {
        let wait = "trap 'echo got; exit 40' INT TERM HUP QUIT USR1; echo ready; while :; do sleep 0.05; done";
        let mut child = run(&builder, &["--session", "s", "--", "sh", "-c", wait]).spawn().unwrap();
        let mut lines = Lines::of(&mut child);
        lines.expect("ready");
        kill_process(Pid::from_child(&child), signal).unwrap();
        lines.expect("got");
        assert_eq!(child.wait().unwrap().code(), Some(40), "{signal:?}");
    }
}

/// As under `nohup run … &`, or in a script's background job: an ignored signal stays ignored, for both.
#[test]
fn an_ignored_signal_stays_ignored() {
    let builder = engine!();
    let wait = "echo ready; read line; echo still here";
    let command = run(&builder, &["--session", "s", "--", "sh", "-c", wait]);
    let mut nohup = within(Command::new("nohup"), &command);
    let mut child =
        nohup.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = Lines::of(&mut child);
    lines.expect("ready");
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    lines.expect("still here");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Ctrl-C at a terminal goes to the whole foreground group. The program must get it once.
#[test]
fn ctrl_c_at_a_terminal_is_one_signal() {
    let builder = engine!();
    let program = "import signal, sys, threading, time\n\
        seen = []\n\
        signal.signal(signal.SIGINT, lambda *_: seen.append(1))\n\
        print('ready', flush=True)\n\
        while not seen: time.sleep(0.02)\n\
        sys.stdin.readline()\n\
        print('seen', len(seen), flush=True)\n\
        sys.exit(len(seen) + 50)\n";
    // The line after Ctrl-C is read only once both signals would have arrived.
    let terminal = "import os, pty, sys\n\
        pid, tty = pty.fork()\n\
        if pid == 0: os.execv(sys.argv[1], sys.argv[1:])\n\
        output = b''\n\
        while b'ready' not in output: output += os.read(tty, 1000)\n\
        os.write(tty, b'\\x03')\n\
        os.write(tty, b'more\\n')\n\
        _, status = os.waitpid(pid, 0)\n\
        print(os.waitstatus_to_exitcode(status))\n";
    let command = run(&builder, &["--session", "s", "--", "python3", "-c", program]);
    let mut python = Command::new("python3");
    python.arg("-c").arg(terminal);
    let ran = within(python, &command).stdin(Stdio::null()).output().unwrap();
    assert_eq!(out(&ran), "51\n", "{}", err(&ran));
}

#[test]
fn a_running_engine_is_used_and_left_running() {
    let upstream = Upstream::echo();
    let mut engine = engine!().arg("--require-token").start();
    let builder = engine.builder().clone();
    let ran =
        shell(&builder, "trip", &upstream, &format!("{POST}; echo $STATE_ENGINE_URL $http_proxy"));
    assert!(ran.status.success(), "{}", err(&ran));
    let output = out(&ran);
    let (api, proxy) = (format!("http://{}", engine.api), format!("@{}", engine.proxy));
    assert!(output.starts_with("1 POST /act hello\n") && output.contains(&api), "{output}");
    assert!(output.trim_end().ends_with(&proxy), "{output}");
    assert!(engine.is_running());
    let execution = &engine.proxied()[0];
    let session = engine.rpc("get_session", &json!({"id": execution["session_id"]}));
    assert_eq!(
        (&session["status"], &session["metadata"]["name"]),
        (&json!("completed"), &json!("trip"))
    );
}

#[test]
fn an_engine_without_a_proxy_cannot_guard() {
    let engine = engine!().arg("--no-proxy").start();
    let ran = run(engine.builder(), &["--", "echo", "unguarded"]).output().unwrap();
    assert_eq!((ran.status.code(), out(&ran)), (Some(2), String::new()));
    assert!(err(&ran).contains("--no-proxy"), "{}", err(&ran));
}

/// The engine that the first `run` started serves the second one to its end.
#[test]
fn an_engine_that_run_started_stays_while_others_use_it() {
    let (builder, upstream) = (engine!(), Upstream::echo());
    let line = "echo $STATE_ENGINE_URL; read go; curl -sS -d $STATE_ENGINE_SESSION $URL; echo";
    let start = |session: &str| {
        let mut command = run(&builder, &["--session", session, "--", "sh", "-c", line]);
        command.stdin(Stdio::piped()).env("URL", upstream.url("/act"));
        command.spawn().unwrap()
    };
    let mut first = start("first");
    let mut first_output = Lines::of(&mut first);
    let api = first_output.0.next().unwrap().unwrap();
    let mut second = start("second");
    let mut second_output = Lines::of(&mut second);
    second_output.expect(&api);
    let go = |child: &mut Child| child.stdin.take().unwrap().write_all(b"\n").unwrap();
    go(&mut first);
    first_output.expect("1 POST /act first");
    let mut stderr = BufReader::new(first.stderr.take().unwrap()).lines();
    assert!(
        stderr.next().unwrap().unwrap().contains("waiting for another run that uses this engine")
    );
    go(&mut second);
    second_output.expect("2 POST /act second");
    assert_eq!(second.wait().unwrap().code(), Some(0));
    assert_eq!(first.wait().unwrap().code(), Some(0));
    assert_eq!(executions(&builder).len(), 2);
}

/// The program is killed while the tool works, and `run` too. The outcome is not lost.
#[test]
fn a_killed_run_leaves_its_call_in_doubt() {
    let builder = engine!();
    let upstream = Upstream::start(|_, exchange| exchange.stall());
    let mut command = run(&builder, &["--session", "s", "--", "curl", "-sS", "-d", "x"]);
    let mut child = command.arg(upstream.url("/pay")).spawn().unwrap();
    upstream.wait_for_hits(1);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let again = run(&builder, &["--session", "s", "--", "curl", "-sS", "-d", "x"])
        .arg(upstream.url("/pay"))
        .output()
        .unwrap();
    assert!(out(&again).contains("urn:openclaw-state-engine:in-doubt"), "{}", out(&again));
    assert_eq!(upstream.hits(), 1);
}

/// A call whose program has exited is recorded before `run` ends.
#[test]
fn a_call_that_outlives_its_program_is_recorded() {
    let builder = engine!();
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, exchange| {
        held.wait();
        exchange.answer(200, &[], b"done");
    });
    let gives_up = "curl -s -m 0.3 -d x $URL; echo gone; exit 1";
    let mut command = run(&builder, &["--session", "s", "--", "sh", "-c", gives_up]);
    let mut child = command.env("URL", upstream.url("/act")).spawn().unwrap();
    Lines::of(&mut child).expect("gone");
    upstream.wait_for_hits(1);
    gate.open();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(executions(&builder)[0]["status"], "completed");
}
