//! Real peers of MCP through the real engine: `PyPI`'s `mcp` and crates.io's `rmcp`, each as client and
//! server of both, over HTTP and stdio and in both protocols, `server-everything`, and the conformance
//! suite. Effects are counted by the server.

mod programs;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};

use programs::{Said, Sdk, Server, ask, client, stdio_everything, stdio_server, wrapped};
use testkit::{Builder, Engine, engine, engine_with_failpoints, wait_until};

const SEND: &str = r#"send={"to":"ada","n":1}"#;

/// The versions that both clients choose: by sessions, and stateless.
const MODES: [(&str, &str); 2] = [("legacy", "2025-11-25"), ("auto", "2026-07-28")];

/// Each protocol over each form of answer would be twice as many starts of a client.
const PAIRS: [(&str, &str, &str); 2] =
    [("json", "auto", "2026-07-28"), ("events", "legacy", "2025-11-25")];

/// Client and server.
const PEERS: [(Sdk, Sdk); 4] = [
    (Sdk::Python, Sdk::Python),
    (Sdk::Rust, Sdk::Rust),
    (Sdk::Python, Sdk::Rust),
    (Sdk::Rust, Sdk::Python),
];

/// Beside `PEERS`: each client and each server in both protocols.
const CROSSED: [(&str, &str); 4] = [MODES[0], MODES[0], MODES[1], MODES[1]];

/// All versions that `rmcp` speaks.
const VERSIONS: [&str; 5] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];

/// One client and server over HTTP, in one protocol and one form of answer.
#[derive(Debug)]
struct Case {
    client: Sdk,
    server: Sdk,
    how: &'static str,
    mode: &'static str,
    version: &'static str,
}

fn cases() -> impl Iterator<Item = Case> {
    PEERS.into_iter().flat_map(|(client, server)| {
        let case = move |(how, mode, version)| Case { client, server, how, mode, version };
        PAIRS.into_iter().map(case)
    })
}

impl Case {
    /// Its server gives the events of a stream ids, and may so send the response on another one.
    fn resumable(&self) -> bool {
        matches!(self.server, Sdk::Rust) && self.mode == "legacy"
    }

    fn start(&self, place: &Place) -> Server {
        Server::of(self.server, &place.effects, self.how)
    }

    fn client(&self, engine: &Engine, server: &Server, calls: &[&str]) -> Command {
        client(self.client, Some(engine), self.mode, &url(server), calls)
    }

    #[track_caller]
    fn ask(&self, engine: &Engine, server: &Server, calls: &[&str]) -> Said {
        ask(self.client, Some(engine), self.mode, &url(server), calls)
    }
}

struct Place {
    builder: Builder,
    effects: PathBuf,
}

impl Place {
    fn new() -> Self {
        let builder = engine!();
        let effects = builder.home().join("effects");
        Self { builder, effects }
    }

    fn effects(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.effects).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn go(&self) {
        fs::write(format!("{}.go", self.effects.display()), "").unwrap();
    }
}

fn url(server: &Server) -> Vec<String> {
    vec![server.url.clone()]
}

fn calls(engine: &Engine) -> Vec<serde_json::Value> {
    engine.proxied()
}

#[test]
fn the_same_call_under_a_new_id_has_one_effect_over_http() {
    for case in cases() {
        let place = Place::new();
        let server = case.start(&place);
        let engine = place.builder.start();
        let said = case.ask(&engine, &server, &[SEND, SEND]);
        assert_eq!(said.version, case.version, "{case:?}");
        assert_eq!(said.texts(), ["sent 1 to ada"; 2], "{case:?}");
        let engine = engine.kill_and_restart();
        let said = case.ask(&engine, &server, &[SEND, r#"send={"n":2,"to":"ada"}"#]);
        assert_eq!(said.texts(), ["sent 1 to ada", "sent 2 to ada"], "{case:?}");
        assert_eq!(place.effects(), ["send ada 1", "send ada 2"], "{case:?}");
        let recorded = calls(&engine);
        assert_eq!(recorded.len(), 2, "{case:?}: {recorded:#?}");
        assert!(recorded.iter().all(|one| one["status"] == "completed"));
    }
}

/// All protocols mean the same call, whoever speaks them.
#[test]
fn a_client_that_changes_the_protocol_is_answered_from_the_record() {
    for sdk in [Sdk::Python, Sdk::Rust] {
        let place = Place::new();
        let server = Server::of(sdk, &place.effects, "json");
        let engine = place.builder.start();
        let python = MODES.map(|(mode, version)| (Sdk::Python, mode, version));
        let rust = VERSIONS.map(|version| (Sdk::Rust, version, version));
        for (client, mode, version) in python.into_iter().chain(rust) {
            let said = ask(client, Some(&engine), mode, &url(&server), &[SEND]);
            assert_eq!(said.version, version, "{client:?} of {sdk:?}");
            assert_eq!(said.texts(), ["sent 1 to ada"], "{client:?} {mode} of {sdk:?}");
        }
        assert_eq!(place.effects().len(), 1, "{sdk:?}");
        assert_eq!(calls(&engine).len(), 1, "{sdk:?}");
    }
}

#[test]
fn a_tools_error_may_be_asked_again() {
    for (sdk, server) in PEERS {
        let place = Place::new();
        let server = Server::of(server, &place.effects, "events");
        let engine = place.builder.start();
        let said = ask(sdk, Some(&engine), "auto", &url(&server), &["fail", "fail"]);
        assert!(said.results.iter().all(|one| one["isError"] == true), "{sdk:?}: {said:?}");
        assert_eq!(place.effects(), ["fail"; 2], "{sdk:?}");
        assert!(calls(&engine).iter().all(|one| one["status"] == "failed"));
    }
}

/// The client is killed while the tool works: its next run finds what the tool answered.
#[test]
fn a_killed_client_finds_the_result() {
    for case in cases() {
        let place = Place::new();
        let server = case.start(&place);
        let engine = place.builder.start();
        let mut killed = case.client(&engine, &server, &["slow"]).spawn().unwrap();
        wait_until("the tool works", || (!place.effects().is_empty()).then_some(()));
        killed.kill().unwrap();
        killed.wait().unwrap();
        place.go();
        let said = case.ask(&engine, &server, &["slow"]);
        assert_eq!(said.texts(), ["at last"], "{case:?}");
        assert_eq!(place.effects(), ["slow"], "{case:?}");
    }
}

/// The server is killed while its tool works: whether it ran is known to nobody, and the model is
/// told so.
#[test]
fn a_killed_server_leaves_the_call_in_doubt() {
    for case in cases().filter(|case| !case.resumable()) {
        let place = Place::new();
        let mut server = case.start(&place);
        let engine = place.builder.start();
        let waiting = case.client(&engine, &server, &["slow"]).spawn().unwrap();
        wait_until("the tool works", || (!place.effects().is_empty()).then_some(()));
        server.child.kill().unwrap();
        let said = wait_until_told(waiting, &engine);
        assert!(said.contains("may have been carried out"), "{case:?}: {said}");
        assert_eq!(calls(&engine)[0]["status"], "in_doubt", "{case:?}");
        assert_eq!(place.effects(), ["slow"], "{case:?}");
    }
}

/// A server whose events have ids may still send the response on another stream: that is waited for
/// while the client asks for it, and what is not known at the engine's end is in doubt.
#[test]
fn a_killed_server_that_could_resume_is_waited_for() {
    for case in cases().filter(Case::resumable) {
        let place = Place::new();
        let mut server = case.start(&place);
        let engine = place.builder.start();
        let mut waiting = case.client(&engine, &server, &["slow"]).spawn().unwrap();
        wait_until("the tool works", || (!place.effects().is_empty()).then_some(()));
        server.child.kill().unwrap();
        wait_until("the client asks for the stream", || {
            let refused = ["decision=\"not-executed\""];
            (engine.metric("state_engine_proxy_requests_total", &refused) > 0.0).then_some(())
        });
        assert_eq!(calls(&engine)[0]["status"], "running", "{case:?}");
        let _ = waiting.kill();
        let _ = waiting.wait();
        engine.terminate();
        let engine = engine.wait().1.start();
        assert_eq!(calls(&engine)[0]["status"], "in_doubt", "{case:?}");
        assert_eq!(place.effects(), ["slow"], "{case:?}");
    }
}

/// The text of the only result of a client. Its server is gone, so that it may not end by itself.
fn wait_until_told(mut client: Child, engine: &Engine) -> String {
    use std::io::BufRead as _;

    wait_until("the engine has noticed", || {
        (calls(engine)[0]["status"] == "in_doubt").then_some(())
    });
    let stdout = std::io::BufReader::new(client.stdout.take().unwrap());
    let result = stdout.lines().nth(1).unwrap().unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["isError"], true, "{result}");
    let _ = client.kill();
    let _ = client.wait();
    result["text"].as_str().unwrap().to_owned()
}

/// The engine is killed while the tool works: after its start the call is in doubt, not repeated.
#[test]
fn a_killed_engine_repeats_nothing() {
    for case in cases() {
        let place = Place::new();
        let server = case.start(&place);
        let engine = place.builder.start();
        let mut waiting = case.client(&engine, &server, &["slow"]).spawn().unwrap();
        wait_until("the tool works", || (!place.effects().is_empty()).then_some(()));
        let engine = engine.kill_and_restart();
        let _ = waiting.kill();
        let _ = waiting.wait();
        place.go();
        let said = case.ask(&engine, &server, &["slow"]);
        assert_eq!(said.results[0]["isError"], true, "{case:?}: {said:?}");
        assert!(said.texts()[0].contains("may already have taken effect"), "{case:?}: {said:?}");
        assert_eq!(place.effects(), ["slow"], "{case:?}");
    }
}

#[test]
fn stdio_servers_are_guarded_behind_the_wrapper() {
    for ((sdk, server), (mode, version)) in PEERS.into_iter().zip(CROSSED) {
        let at = format!("{sdk:?} of {server:?}, {mode}");
        let place = Place::new();
        let server = wrapped(place.builder.database_path(), &stdio_server(server, &place.effects));
        let mut engine = place.builder.start();
        for _ in 0..2 {
            let said = ask(sdk, None, mode, &server, &[SEND, SEND]);
            assert_eq!(said.version, version, "{at}");
            assert_eq!(said.texts(), ["sent 1 to ada"; 2], "{at}");
            engine = engine.kill_and_restart();
        }
        let other = r#"send={"n":2,"to":"ada"}"#;
        assert_eq!(ask(sdk, None, mode, &server, &[other]).texts(), ["sent 2 to ada"], "{at}");
        assert_eq!(place.effects(), ["send ada 1", "send ada 2"], "{at}");
        assert_eq!(calls(&engine).len(), 2, "{at}");
        a_kill_takes_the_wrapper_with_it(sdk, mode, &server, &place, &engine);
    }
}

/// And the server of the wrapper, whose call runs to its end before.
fn a_kill_takes_the_wrapper_with_it(
    sdk: Sdk,
    mode: &str,
    server: &[String],
    place: &Place,
    engine: &Engine,
) {
    let before = place.effects().len();
    let mut killed = client(sdk, None, mode, server, &["slow"]).spawn().unwrap();
    wait_until("the tool works", || (place.effects().len() > before).then_some(()));
    killed.kill().unwrap();
    killed.wait().unwrap();
    place.go();
    wait_until("the call is over", || (calls(engine).last()?["status"] != "running").then_some(()));
    let said = ask(sdk, None, mode, server, &["slow"]);
    assert_eq!(said.texts(), ["at last"], "{sdk:?} {mode}: it ran to its end and was recorded");
    assert_eq!(place.effects().len(), before + 1, "{sdk:?} {mode}");
}

/// The server of the wrapper is killed while its tool works. (By sessions: a client that asks for the
/// stateless protocol first does not wait long for a server that is slow to start.)
#[test]
fn a_killed_stdio_server_leaves_the_call_in_doubt() {
    for (sdk, server) in PEERS {
        let (mode, at) = (MODES[0].0, format!("{sdk:?} of {server:?}"));
        let place = Place::new();
        let started = stdio_server(server, &place.effects);
        let server = wrapped(place.builder.database_path(), &started);
        let engine = place.builder.start();
        let mut waiting = client(sdk, None, mode, &server, &["slow"]).spawn().unwrap();
        wait_until("the tool works", || (!place.effects().is_empty()).then_some(()));
        kill_the_process_of(&started);
        wait_until("the engine has noticed", || {
            (calls(&engine)[0]["status"] == "in_doubt").then_some(())
        });
        let _ = waiting.kill();
        let _ = waiting.wait();
        place.go();
        let said = ask(sdk, None, mode, &server, &["slow"]);
        assert!(said.texts()[0].contains("may already have taken effect"), "{at}: {said:?}");
        assert_eq!(place.effects(), ["slow"], "{at}");
    }
}

/// The one that was started by exactly these words.
fn kill_the_process_of(words: &[String]) {
    let command: String = words.iter().flat_map(|word| [word, "\0"]).collect();
    let is_it = |pid: &std::ffi::OsStr| {
        fs::read(PathBuf::from("/proc").join(pid).join("cmdline"))
            .is_ok_and(|it| it == command.as_bytes())
    };
    let pids = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
    let found: Vec<_> = pids.filter(|pid| is_it(pid)).collect();
    let [pid] = &found[..] else { panic!("{words:?} is {found:?}") };
    assert!(Command::new("kill").arg("-KILL").arg(pid).status().unwrap().success());
}

/// Kills the engine at a named place inside a call, over HTTP or on stdio, and calls again.
#[track_caller]
fn assert_survives(point: &str, (sdk, peer): (Sdk, Sdk), mode: &str, on_stdio: bool) {
    let at = format!("{point}: {sdk:?} of {peer:?}, {mode}");
    let builder = engine_with_failpoints!();
    let place = Place { effects: builder.home().join("effects"), builder };
    let over_http = (!on_stdio).then(|| Server::of(peer, &place.effects, "events"));
    let server = match &over_http {
        Some(server) => url(server),
        None => wrapped(place.builder.database_path(), &stdio_server(peer, &place.effects)),
    };
    let engine = place.builder.clone().env("STATE_ENGINE_FAILPOINT", point).start();
    let proxy_of = (!on_stdio).then_some(&engine);
    let mut killed = client(sdk, proxy_of, mode, &server, &[SEND]).spawn().unwrap();
    let (status, _) = engine.wait();
    assert!(!status.success(), "{at}: {status}");
    let _ = killed.kill();
    let _ = killed.wait();

    let engine = place.builder.start();
    let proxy_of = (!on_stdio).then_some(&engine);
    let said = ask(sdk, proxy_of, mode, &server, &[SEND]);
    if point == "before-reply" {
        assert_eq!(said.texts(), ["sent 1 to ada"], "{at}");
    } else {
        assert!(said.texts()[0].contains("may already have taken effect"), "{at}: {said:?}");
    }
    let effects: &[&str] = if point == "after-claim" { &[] } else { &["send ada 1"] };
    assert_eq!(place.effects(), effects, "{at}");
    assert_eq!(calls(&engine).len(), 1, "{at}");
}

/// Those that a tool call passes and no other message.
const POINTS: [&str; 3] = ["after-claim", "before-commit", "before-reply"];

#[test]
fn an_engine_killed_anywhere_in_a_call_over_http_repeats_nothing() {
    for point in POINTS {
        for (peers, (mode, _)) in PEERS.into_iter().zip(CROSSED) {
            assert_survives(point, peers, mode, false);
        }
    }
}

#[test]
fn an_engine_killed_anywhere_in_a_call_on_stdio_repeats_nothing() {
    for point in POINTS {
        for peers in PEERS {
            assert_survives(point, peers, MODES[0].0, true);
        }
    }
}

#[test]
fn server_everything_over_http_and_stdio() {
    let place = Place::new();
    let engine = place.builder.start();
    let over_http = Server::everything();
    let over_stdio = wrapped(place.builder.database_path(), &stdio_everything());
    let sum = r#"get-sum={"a":2,"b":40}"#;
    let long = r#"trigger-long-running-operation={"duration":1,"steps":2}"#;
    for (engine_of, server) in [(Some(&engine), url(&over_http)), (None, over_stdio)] {
        let before = calls(&engine).len();
        let said = ask(Sdk::Python, engine_of, "legacy", &server, &[sum, long, sum, long]);
        assert!(said.texts()[0].contains("42"), "{said:?}");
        assert_eq!(said.texts()[0], said.texts()[2]);
        assert_eq!(said.texts()[1], said.texts()[3]);
        let progress = |n: usize| said.results[n]["progress"].as_array().unwrap().len();
        assert!(progress(1) > 0, "progress flows: {said:?}");
        assert_eq!(progress(3), 0, "a replay tells no old progress: {said:?}");
        assert_eq!(calls(&engine).len(), before + 2, "{:#?}", calls(&engine));
    }
}

#[test]
fn a_read_only_tool_is_believed_of_a_trusted_server_alone() {
    let place = Place::new();
    let server = Server::of(Sdk::Python, &place.effects, "json");
    let engine = place.builder.start();
    let said = ask(Sdk::Python, Some(&engine), "legacy", &url(&server), &["look", "look"]);
    assert_eq!(said.texts(), ["seen"; 2]);
    assert_eq!(place.effects(), ["look"], "nobody said that the server is to be trusted");

    for trusted in ["127.0.0.1", "peer"] {
        let place = Place::new();
        let file = place.builder.home().join("engine.toml");
        fs::write(&file, format!("[mcp]\ntrust = [\"{trusted}\"]\n")).unwrap();
        let engine = place.builder.clone().arg("--config").arg(file).start();
        let over_http = Server::of(Sdk::Python, &place.effects, "json");
        let on_stdio = stdio_server(Sdk::Python, &place.effects);
        let (engine_of, server) = match trusted {
            "peer" => (None, wrapped(place.builder.database_path(), &on_stdio)),
            _ => (Some(&engine), url(&over_http)),
        };
        let said = ask(Sdk::Python, engine_of, "legacy", &server, &["look", "look", SEND, SEND]);
        assert_eq!(said.texts(), ["seen", "seen", "sent 1 to ada", "sent 1 to ada"], "{trusted}");
        assert_eq!(place.effects(), ["look", "look", "send ada 1"], "{trusted}");
        assert_eq!(calls(&engine).len(), 1, "{trusted}");
    }
}

/// What a test counts on: without an engine none of the verdicts is bad, and so many are good.
#[track_caller]
fn assert_good(verdicts: &[String], at_least: usize) {
    let bad: Vec<_> = verdicts.iter().filter(|one| one.ends_with("FAILURE")).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let good = verdicts.iter().filter(|one| one.ends_with("SUCCESS")).count();
    assert!(good >= at_least, "{verdicts:#?}");
}

/// The same verdicts through the engine as without it: all kinds of content, messages of the tool
/// while it works, questions of the tool to the client, streams that are taken up again.
#[test]
fn the_conformance_suite_gives_the_same_verdicts() {
    let place = Place::new();
    let server = Server::conforming();
    let without = programs::conformance(None, &server.url);
    assert_good(&without, 44);
    let engine = place.builder.start();
    assert_eq!(programs::conformance(Some(&engine), &server.url), without);
    let called = calls(&engine);
    assert!(called.len() >= 12, "it went through the engine: {called:#?}");
    let unsettled: Vec<_> = called.iter().filter(|one| one["status"] == "in_doubt").collect();
    assert!(unsettled.is_empty(), "{unsettled:#?}");
}

/// The same of `PyPI`'s server, which has only some of what the suite asks for.
#[test]
fn the_conformance_suite_finds_as_much_in_another_server() {
    let place = Place::new();
    let server = Server::of(Sdk::Python, &place.effects, "events");
    let without = programs::conformance(None, &server.url);
    let good = without.iter().filter(|one| one.ends_with("SUCCESS")).count();
    assert!(good >= 8, "{without:#?}");
    let engine = place.builder.start();
    assert_eq!(programs::conformance(Some(&engine), &server.url), without);
    assert!(!calls(&engine).is_empty(), "it went through the engine");
}

/// The protocol's own SDK as a client: one whose response comes on the session's other stream, one
/// that is asked in the middle of a call, and those that sign in first.
#[test]
fn a_client_conforms_through_the_engine_as_without_it() {
    for (scenario, verdicts, calls_tools) in [
        ("initialize", 1, false),
        ("tools_call", 1, true),
        ("elicitation-sep1034-client-defaults", 5, true),
        ("sse-retry", 3, true),
        ("auth/metadata-default", 10, true),
        ("auth/basic-cimd", 10, true),
        ("auth/scope-step-up", 10, true),
        ("auth/token-endpoint-auth-basic", 10, true),
        ("auth/token-endpoint-auth-post", 10, true),
        ("auth/token-endpoint-auth-none", 10, true),
    ] {
        let without = programs::client_conformance(None, scenario);
        assert_good(&without, verdicts);
        let engine = engine!().start();
        assert_eq!(programs::client_conformance(Some(&engine), scenario), without, "{scenario}");
        let called = calls(&engine);
        let called: Vec<_> = called.iter().filter(|one| one["rule"] == "mcp tools/call").collect();
        assert_eq!(!called.is_empty(), calls_tools, "{scenario}: {called:#?}");
        assert!(called.iter().all(|one| one["status"] != "in_doubt"), "{scenario}: {called:#?}");
    }
}
