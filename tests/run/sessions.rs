//! Several runs of one session: at once, nested, killed, and with calls that outlive them.

use std::fs;
use std::io::Write as _;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use testkit::{Builder, Gate, Upstream, engine, wait_until};

use super::{Lines, POST, err, out, run, shell};

/// A run whose program runs what it reads, line by line.
struct Run {
    child: Child,
    lines: Lines,
}

impl Run {
    fn start(builder: &Builder, session: &str, upstream: &Upstream) -> Self {
        let obeys = "echo ready; while IFS= read -r line; do eval \"$line\"; done; exit 9";
        let mut command = run(builder, &["--session", session, "--", "sh", "-c", obeys]);
        command.stdin(Stdio::piped()).env("URL", upstream.url("/act"));
        let mut child = command.spawn().unwrap();
        let mut lines = Lines::of(&mut child);
        lines.expect("ready");
        Self { child, lines }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn post(&mut self) -> String {
        self.say(POST);
        self.lines.0.next().unwrap().unwrap()
    }

    fn end(&mut self, status: i32) {
        self.say(&format!("exit {status}"));
        assert_eq!(self.child.wait().unwrap().code(), Some(status));
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

#[derive(Clone, Copy)]
enum Step {
    /// By name.
    Start,
    /// By the id that the name means.
    StartById,
    Post(usize),
    End(usize, i32),
    Kill(usize),
}

#[test]
fn a_session_is_completed_by_its_last_run_if_none_failed() {
    use Step::{End, Kill, Post, Start, StartById};
    let begin = [Start, Post(0), Start, Post(1)];
    // What happens then, and whether the session is completed at the end.
    let table: &[(&[Step], bool)] = &[
        (&[End(1, 0), Post(0), End(0, 0)], true),
        (&[End(0, 0), Post(1), End(1, 0)], true),
        (&[End(1, 7), Post(0), End(0, 0)], false),
        (&[End(1, 0), Post(0), End(0, 7)], false),
        (&[End(0, 7), Post(1), End(1, 7)], false),
        (&[Kill(1), Post(0), End(0, 0)], false),
        (&[Kill(0), Post(1), End(1, 0)], false),
        (&[End(1, 0), Post(0), Kill(0)], false),
        (&[Kill(0), Kill(1)], false),
        (&[End(0, 0), Start, End(1, 0), Post(2), End(2, 0)], true),
        (&[End(0, 3), Start, End(1, 0), Post(2), End(2, 0)], false),
        (&[StartById, Post(2), End(0, 0), End(1, 0), Post(2), End(2, 0)], true),
        (&[StartById, End(2, 0), Post(0), End(1, 0), Post(0), End(0, 0)], true),
        (&[Kill(1), End(0, 0), Start, Post(2), End(2, 0)], true),
    ];
    let engine = engine!().start();
    let builder = engine.builder();
    for (row, (then, completed)) in table.iter().enumerate() {
        let (upstream, session) = (Upstream::echo(), format!("trip-{row}"));
        let mut runs: Vec<Run> = Vec::new();
        for step in begin.iter().chain(*then) {
            match *step {
                Start => runs.push(Run::start(builder, &session, &upstream)),
                StartById => {
                    let id =
                        engine.proxied().pop().unwrap()["session_id"].as_str().unwrap().to_owned();
                    runs.push(Run::start(builder, &id, &upstream));
                }
                Post(n) => assert_eq!(runs[n].post(), "1 POST /act hello", "row {row}"),
                End(n, status) => runs[n].end(status),
                Kill(n) => {
                    runs[n].child.kill().unwrap();
                    runs[n].child.wait().unwrap();
                }
            }
        }
        assert_eq!(upstream.hits(), 1, "row {row}: one effect of equal posts");
        let status = &engine
            .rpc("get_session", &json!({"id": engine.proxied().pop().unwrap()["session_id"]}))["status"];
        assert_eq!(status == "completed", *completed, "row {row}: {status}");
        let next = out(&shell(builder, &session, &upstream, POST));
        let expected = if *completed { "2 POST /act hello\n" } else { "1 POST /act hello\n" };
        assert_eq!(next, expected, "row {row}: the next run");
    }
}

/// In the engine of the outermost run, and in one that serves.
#[test]
fn a_nested_run_of_the_session_does_not_complete_it() {
    let inner = |session: &str, line: &str| {
        format!("$BIN run --database $DB --session {session} -- sh -c '{line}'")
    };
    for served in [false, true] {
        let upstream = Upstream::echo();
        let builder = engine!();
        let engine = served.then(|| builder.start());
        let nest = |session: &str, line: &str| {
            let mut command = run(&builder, &["--session", session, "--", "sh", "-c", line]);
            command.env("URL", upstream.url("/act")).env("DB", builder.database_path());
            command.env("BIN", env!("CARGO_BIN_EXE_openclaw-state-engine"));
            let ran = command.output().unwrap();
            assert!(ran.status.success(), "{}", err(&ran));
            out(&ran)
        };
        let same = inner("trip", POST);
        let twice = inner("trip", &format!("{POST}; {}", same.replace('\'', "\"")));
        let other = inner("other", POST);
        for (line, effects) in [
            (format!("{POST}; {same}; {POST}"), "111"),
            (format!("{same}; {same}; {POST}"), "222"),
            (format!("{POST}; {twice}; {POST}"), "3333"),
            // The other session completes, and this one goes on.
            (format!("{POST}; {other}; {other}; {POST}"), "4564"),
        ] {
            let printed = nest("trip", &line);
            let numbers: String = printed.lines().map(|line| &line[..1]).collect();
            assert_eq!(numbers, effects, "served: {served}, {line}");
        }
        drop(engine);
    }
}

/// A server of MCP works in the session: its calls would be new calls in the next one.
#[test]
fn a_wrapped_server_keeps_the_session_open() {
    let (engine, upstream) = (engine!().start(), Upstream::echo());
    let builder = engine.builder();
    let mut wrapper = builder.command();
    wrapper.args(["mcp", "--session", "trip", "--database"]).arg(builder.database_path());
    wrapper.args(["--", "sh", "-c", "echo ready; while read line; do :; done"]);
    wrapper.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut wrapper = wrapper.spawn().unwrap();
    Lines::of(&mut wrapper).expect("ready");
    for _ in 0..2 {
        let ran = shell(builder, "trip", &upstream, POST);
        assert_eq!(out(&ran), "1 POST /act hello\n", "{}", err(&ran));
    }
    drop(wrapper.stdin.take());
    assert!(wrapper.wait().unwrap().success());
    assert_eq!(out(&shell(builder, "trip", &upstream, POST)), "2 POST /act hello\n");
    let left = fs::read_dir(format!("{}.sessions", builder.database_path().display())).unwrap();
    assert_eq!(left.count(), 0, "nothing is left of sessions that ended");
}

/// Answers with the number of the request; the first waits for the gate, and may then be reset.
fn slow_at_first(resets: bool) -> (Gate, Upstream) {
    let (gate, count) = (Gate::new(), AtomicU64::new(0));
    let held = gate.clone();
    let upstream = Upstream::start(move |_, exchange| {
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        if n == 1 {
            held.wait();
            if resets {
                return exchange.reset();
            }
        }
        exchange.answer(200, &[], n.to_string().as_bytes());
    });
    (gate, upstream)
}

/// The run ends well while its call still runs, as after its own timeout. The next session of the
/// name does not send the call again beside it.
#[test]
fn a_call_that_outlives_its_session_holds_back_the_next_one() {
    for outcome in ["answer", "reset"] {
        let (gate, upstream) = slow_at_first(outcome == "reset");
        let engine = engine!().start();
        let builder = engine.builder();
        let gives_up = "curl -s -m 0.3 -d hello $URL; exit 0";
        assert!(shell(builder, "trip", &upstream, gives_up).status.success());
        assert_eq!(upstream.hits(), 1);
        let first = engine.proxied()[0].clone();
        let session = engine.rpc("get_session", &json!({"id": first["session_id"]}));
        assert_eq!(session["status"], "completed");

        let mut next = Run::start(builder, "trip", &upstream);
        next.say(POST);
        wait_until("the equal call waits", || {
            (engine.metric("state_engine_duplicates_waiting", &[]) > 0.0).then_some(())
        });
        gate.open();
        let answer = next.lines.0.next().unwrap().unwrap();
        if outcome == "answer" {
            assert_eq!(answer, "1", "the running call's answer");
            assert_eq!(next.post(), "1", "also for its retry");
        } else {
            assert!(answer.contains("in-doubt"), "{answer}");
            assert!(next.post().contains("in-doubt"));
        }
        assert_eq!(upstream.hits(), 1);
        next.end(0);
        // What is settled holds nothing back; a doubt does so in every later session.
        let third = out(&shell(builder, "trip", &upstream, POST));
        if outcome == "answer" {
            assert_eq!(third, "2\n");
        } else {
            assert!(third.contains("in-doubt"), "{third}");
            let doubt = engine.proxied()[0].clone();
            assert_eq!(doubt["id"], first["id"]);
            let id = first["id"].as_str().unwrap();
            let settled = builder.cli([
                "resolve",
                id,
                "--did-not-run",
                "--evidence",
                "looked",
                "--database",
                builder.database_path().to_str().unwrap(),
            ]);
            assert!(settled.status.success(), "{}", err(&settled));
            assert_eq!(out(&shell(builder, "trip", &upstream, POST)), "2\n");
        }
    }
}

/// A client of the API ends the session, which nobody's lock prevents.
#[test]
fn a_session_that_the_api_ends_holds_back_the_next_one_too() {
    let (gate, upstream) = slow_at_first(false);
    let engine = engine!().start();
    let mut first = Run::start(engine.builder(), "trip", &upstream);
    first.say(POST);
    upstream.wait_for_hits(1);
    let session = engine.proxied()[0]["session_id"].clone();
    engine.rpc("update_session", &json!({"session": {"id": session, "status": "abandoned"}}));
    let mut second = Run::start(engine.builder(), "trip", &upstream);
    second.say(&format!("curl -sS -d other $URL; echo; {POST}"));
    assert_eq!(second.lines.0.next().unwrap().unwrap(), "2", "another call runs");
    wait_until("the equal call waits", || {
        (engine.metric("state_engine_duplicates_waiting", &[]) > 0.0).then_some(())
    });
    gate.open();
    assert_eq!(second.lines.0.next().unwrap().unwrap(), "1");
    assert_eq!(first.lines.0.next().unwrap().unwrap(), "1");
    assert_eq!(upstream.hits(), 2);
}
