//! Calls that go well, over HTTP and stdio: one effect each, whoever repeats them.

use std::fs;

use super::kills::a_kill_takes_the_wrapper_with_it;
use super::programs::{Sdk, Server, ask, stdio_everything, stdio_server, wrapped};
use super::{CROSSED, MODES, PEERS, Place, SEND, VERSIONS, calls, cases, url};

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
