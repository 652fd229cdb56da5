//! Wrapper, program and engine are signalled and killed, in every order of two.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use testkit::{Builder, Engine, Gate, Upstream, engine, wait_until};

use super::{Lines, out, run};

/// A server of MCP that records each effect before it waits for the file `go`.
const SERVER: &str = r#"
import json, os, sys, time
effects = sys.argv[1]
open(effects + ".pid", "w").write(str(os.getpid()))
for line in sys.stdin:
    message = json.loads(line)
    with open(effects, "a") as file: file.write("x")
    while not os.path.exists(effects + ".go"): time.sleep(0.01)
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {"content": [{"type": "text", "text": "did it"}]}}), flush=True)
"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Wrapper,
    Program,
    Engine,
}

const EVENTS: &[(Target, Signal)] = &[
    (Target::Wrapper, Signal::TERM),
    (Target::Wrapper, Signal::INT),
    (Target::Wrapper, Signal::HUP),
    (Target::Wrapper, Signal::KILL),
    (Target::Program, Signal::TERM),
    (Target::Program, Signal::INT),
    (Target::Program, Signal::HUP),
    (Target::Program, Signal::KILL),
    (Target::Engine, Signal::TERM),
    (Target::Engine, Signal::KILL),
];

fn pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

fn is_gone(pid: Pid) -> bool {
    // A zombie that nobody reaps, as in a container without an init, has ended too.
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_err() || state.is_ok_and(|stat| stat.contains(") Z "))
}

fn send(target: Pid, signal: Signal) {
    // It may have ended already.
    let _ = kill_process(target, signal);
}

/// Every order of two events, some at a time, each with a name. Those that leave the engine alone share one.
fn each_order_of_two(
    events: &[(Target, Signal)],
    case: impl Fn([(Target, Signal); 2], &str, &mut Option<Engine>) + Sync,
) {
    let pairs = events.iter().flat_map(|first| events.iter().map(move |second| [*first, *second]));
    let pairs = Mutex::new(pairs.enumerate());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut kept = None;
                loop {
                    let Some((n, pair)) = pairs.lock().unwrap().next() else { return };
                    let stops = pair.iter().any(|event| event.0 == Target::Engine);
                    let mut engine = if stops { None } else { kept.take() };
                    engine.get_or_insert_with(|| engine!().start());
                    case(pair, &format!("case-{n}"), &mut engine);
                    if !stops {
                        kept = engine;
                    }
                }
            });
        }
    });
}

#[test]
fn no_order_of_two_signals_repeats_a_call_under_run() {
    each_order_of_two(EVENTS, |events, name, running| {
        let gate = Gate::new();
        let held = gate.clone();
        let upstream = Upstream::start(move |_, exchange| {
            held.wait();
            exchange.answer(200, &[], b"did it");
        });
        let engine = running.as_ref().unwrap();
        let builder = engine.builder().clone();
        let engine_pid = pid(&engine.pid().to_string());
        let post = "curl -s -d hello $URL";
        let start = |line: &str| {
            let mut command = run(&builder, &["--session", name, "--", "sh", "-c", line]);
            command.env("URL", upstream.url("/act"));
            command
        };
        let mut wrapper = start(&format!("echo $$; {post}; exit 1")).spawn().unwrap();
        let mut lines = Lines::of(&mut wrapper);
        let program = pid(&lines.0.next().unwrap().unwrap());
        upstream.wait_for_hits(1);
        for (target, signal) in events {
            send(
                match target {
                    Target::Wrapper => Pid::from_child(&wrapper),
                    Target::Program => program,
                    Target::Engine => engine_pid,
                },
                signal,
            );
        }
        gate.open();
        wait_until("the wrapper ends", || wrapper.try_wait().unwrap());
        wait_until("the program ends", || is_gone(program).then_some(()));
        if events.iter().any(|event| event.0 == Target::Engine) {
            drop(running.take());
            *running = Some(builder.start());
        }
        let again = out(&start(post).output().unwrap());
        assert!(again == "did it" || again.contains("in-doubt"), "{events:?}: {again}");
        assert_eq!(upstream.hits(), 1, "{events:?}");
    });
}

fn wrapper(builder: &Builder, effects: &Path) -> Command {
    let server = builder.home().join("server.py");
    fs::write(&server, SERVER).unwrap();
    let mut command = builder.command();
    command.args(["mcp", "--name", "t", "--session", "s", "--database"]);
    command.arg(builder.database_path()).args(["--", "python3"]).arg(server).arg(effects);
    command.current_dir(builder.home());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

const CALL: &[u8] =
    b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"act\"}}\n";

/// Starts a wrapper whose server works on a call.
fn working(builder: &Builder, effects: &Path) -> (Child, Pid) {
    let mut child = wrapper(builder, effects).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(CALL).unwrap();
    wait_until("the server works", || {
        fs::read_to_string(effects).is_ok_and(|effects| effects == "x").then_some(())
    });
    let server = pid(&fs::read_to_string(format!("{}.pid", effects.display())).unwrap());
    (child, server)
}

#[test]
fn no_order_of_two_signals_repeats_a_call_behind_mcp() {
    // For the wrapper, the end of its server is the same whatever the signal, and so is that of the engine.
    let same = [
        (Target::Program, Signal::INT),
        (Target::Program, Signal::HUP),
        (Target::Engine, Signal::TERM),
    ];
    let events: Vec<_> = EVENTS.iter().filter(|event| !same.contains(event)).copied().collect();
    each_order_of_two(&events, |events, name, running| {
        let engine = running.as_ref().unwrap();
        let builder = engine.builder().clone();
        let engine_pid = pid(&engine.pid().to_string());
        let effects = builder.home().join(name);
        let (mut child, server) = working(&builder, &effects);
        for (target, signal) in events {
            send(
                match target {
                    Target::Wrapper => Pid::from_child(&child),
                    Target::Program => server,
                    Target::Engine => engine_pid,
                },
                signal,
            );
        }
        fs::write(format!("{}.go", effects.display()), "").unwrap();
        if events.iter().all(|event| event.0 == Target::Engine) {
            drop(child.stdin.take());
        }
        wait_until("the wrapper ends", || child.try_wait().unwrap());
        wait_until("the server ends", || is_gone(server).then_some(()));
        if events.iter().any(|event| event.0 == Target::Engine) {
            drop(running.take());
            *running = Some(builder.start());
        }
        let mut again = wrapper(&builder, &effects).spawn().unwrap();
        again.stdin.as_mut().unwrap().write_all(CALL).unwrap();
        let answer = Lines::of(&mut again).0.next().unwrap().unwrap();
        let known = answer.contains("did it") || answer.contains("may already have taken effect");
        assert!(known, "{events:?}: {answer}");
        assert_eq!(fs::read_to_string(&effects).unwrap(), "x", "{events:?}");
        drop(again.stdin.take());
        again.wait().unwrap();
    });
}

/// The first wrapper's engine serves the second program, so the wrapper waits for its end.
#[test]
fn a_wrapper_that_waits_for_others_obeys_a_signal() {
    for (waits_as, signal) in [
        ("mcp", Signal::TERM),
        ("mcp", Signal::INT),
        ("mcp", Signal::HUP),
        ("run", Signal::TERM),
        ("run", Signal::INT),
    ] {
        let builder = engine!();
        let line = ["--session", "one", "--", "sh", "-c", "echo ready; read line"];
        let mut first = if waits_as == "run" {
            run(&builder, &line)
        } else {
            let mut command = builder.command();
            command.arg("mcp").arg("--database").arg(builder.database_path()).args(line);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command
        };
        let mut first = first.stdin(Stdio::piped()).spawn().unwrap();
        Lines::of(&mut first).expect("ready");
        let line = ["--session", "other", "--", "sh", "-c", "echo ready; read line; exit 3"];
        let mut second = run(&builder, &line).stdin(Stdio::piped()).spawn().unwrap();
        Lines::of(&mut second).expect("ready");
        drop(first.stdin.take());
        let mut notes = BufReader::new(first.stderr.take().unwrap()).lines();
        assert!(notes.any(|note| note.unwrap().contains("waiting for another run")));
        send(Pid::from_child(&first), signal);
        let ended = wait_until("the wrapper ends", || first.try_wait().unwrap());
        assert_eq!(ended.signal(), Some(signal.as_raw()), "{waits_as}: {ended:?}");
        drop(second.stdin.take());
        assert_eq!(second.wait().unwrap().code(), Some(3));
    }
}

/// The server ignores the first signal. The second one waits for nobody, and leaves nobody behind.
#[test]
fn the_second_signal_ends_a_wrapper_at_once() {
    let stubborn = "import os, signal, time\n\
        for name in ('TERM', 'INT', 'HUP'): signal.signal(getattr(signal, 'SIG' + name), lambda *_: print('got', flush=True))\n\
        print(os.getpid(), flush=True)\n\
        while True: time.sleep(0.05)\n";
    for [first, second] in
        [[Signal::TERM, Signal::TERM], [Signal::INT, Signal::TERM], [Signal::HUP, Signal::INT]]
    {
        let engine = engine!().start();
        let mut command = engine.builder().command();
        command.arg("mcp").arg("--database").arg(engine.builder().database_path());
        command.args(["--", "python3", "-c", stubborn]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = Lines::of(&mut child);
        let server = pid(&lines.0.next().unwrap().unwrap());
        send(Pid::from_child(&child), first);
        lines.expect("got");
        send(Pid::from_child(&child), second);
        let ended = wait_until("the wrapper ends", || child.try_wait().unwrap());
        assert_eq!(ended.signal(), Some(second.as_raw()), "{ended:?}");
        wait_until("the server ends", || is_gone(server).then_some(()));
    }
}
