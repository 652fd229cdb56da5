//! Real peers of MCP through the real engine: `PyPI`'s `mcp` and crates.io's `rmcp`, each as client and
//! server of both, over HTTP and stdio and in both protocols, `server-everything`, and the conformance
//! suite. Effects are counted by the server.
#![expect(clippy::unwrap_used, reason = "a test stops at the first wrong thing")]

mod peers;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};

use peers::{Said, Sdk, Server, ask, client, stdio_everything, stdio_server, wrapped};
use testkit::{Builder, Engine, engine, wait_until};

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
}

/// The same verdicts through the engine as without it, and not all of them failures.
#[test]
fn the_conformance_suite_gives_the_same_verdicts() {
    let place = Place::new();
    let server = Server::of(Sdk::Python, &place.effects, "events");
    let without = peers::conformance(None, &server.url);
    let engine = place.builder.start();
    let with = peers::conformance(Some(&engine), &server.url);
    assert_eq!(with, without);
    assert!(with.iter().filter(|one| one.ends_with("SUCCESS")).count() >= 8, "{with:#?}");
    assert!(!calls(&engine).is_empty(), "it went through the engine");
}

/// The protocol's own SDK as a client, among it one whose response comes on the session's other
/// stream.
#[test]
fn a_client_conforms_through_the_engine_as_without_it() {
    for scenario in ["initialize", "tools_call", "sse-retry"] {
        let without = peers::client_conformance(None, scenario);
        let engine = engine!().start();
        assert_eq!(peers::client_conformance(Some(&engine), scenario), without, "{scenario}");
        assert!(without.iter().any(|one| one.ends_with("SUCCESS")), "{without:#?}");
        if scenario != "initialize" {
            let recorded = calls(&engine);
            assert_eq!(recorded[0]["status"], "completed", "{scenario}: {recorded:#?}");
        }
    }
}
