//! Calls that succeed, over HTTP and stdio: one effect each, whichever client repeats them.

use std::fs;

use super::kills::a_kill_ends_the_wrapper_too;
use super::programs::{Sdk, Server, run_client, stdio_everything, stdio_server, wrapped};
use super::{CROSSED, MODES, PEERS, Place, SEND, VERSIONS, calls, cases, url};

#[test]
fn the_same_call_under_a_new_id_has_one_effect_over_http() {
    for case in cases() {
        let place = Place::new();
        let server = case.start(&place);
        let engine = place.builder.start();
        let printed = case.run_client(&engine, &server, &[SEND, SEND]);
        assert_eq!(printed.version, case.version, "{case:?}");
        assert_eq!(printed.texts(), ["sent 1 to ada"; 2], "{case:?}");
        let engine = engine.kill_and_restart();
        let printed = case.run_client(&engine, &server, &[SEND, r#"send={"n":2,"to":"ada"}"#]);
        assert_eq!(printed.texts(), ["sent 1 to ada", "sent 2 to ada"], "{case:?}");
        assert_eq!(place.effects(), ["send ada 1", "send ada 2"], "{case:?}");
        let recorded = calls(&engine);
        assert_eq!(recorded.len(), 2, "{case:?}: {recorded:#?}");
        assert!(recorded.iter().all(|one| one["status"] == "completed"));
    }
}

/// The same call is the same in every protocol and from every client.
#[test]
fn a_client_that_changes_the_protocol_is_answered_from_the_record() {
    for sdk in [Sdk::Python, Sdk::Rust] {
        let place = Place::new();
        let server = Server::of(sdk, &place.effects, "json");
        let engine = place.builder.start();
        let python = MODES.map(|(mode, version)| (Sdk::Python, mode, version));
        let rust = VERSIONS.map(|version| (Sdk::Rust, version, version));
        for (client, mode, version) in python.into_iter().chain(rust) {
            let printed = run_client(client, Some(&engine), mode, &url(&server), &[SEND]);
            assert_eq!(printed.version, version, "{client:?} of {sdk:?}");
            assert_eq!(printed.texts(), ["sent 1 to ada"], "{client:?} {mode} of {sdk:?}");
        }
        assert_eq!(place.effects().len(), 1, "{sdk:?}");
        assert_eq!(calls(&engine).len(), 1, "{sdk:?}");
    }
}

#[test]
fn a_call_with_a_tool_error_can_run_again() {
    for (sdk, server) in PEERS {
        let place = Place::new();
        let server = Server::of(server, &place.effects, "events");
        let engine = place.builder.start();
        let printed = run_client(sdk, Some(&engine), "auto", &url(&server), &["fail", "fail"]);
        assert!(printed.results.iter().all(|one| one["isError"] == true), "{sdk:?}: {printed:?}");
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
            let printed = run_client(sdk, None, mode, &server, &[SEND, SEND]);
            assert_eq!(printed.version, version, "{at}");
            assert_eq!(printed.texts(), ["sent 1 to ada"; 2], "{at}");
            engine = engine.kill_and_restart();
        }
        let other = r#"send={"n":2,"to":"ada"}"#;
        assert_eq!(
            run_client(sdk, None, mode, &server, &[other]).texts(),
            ["sent 2 to ada"],
            "{at}"
        );
        assert_eq!(place.effects(), ["send ada 1", "send ada 2"], "{at}");
        assert_eq!(calls(&engine).len(), 2, "{at}");
        a_kill_ends_the_wrapper_too(sdk, mode, &server, &place, &engine);
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
        let printed =
            run_client(Sdk::Python, engine_of, "legacy", &server, &[sum, long, sum, long]);
        assert!(printed.texts()[0].contains("42"), "{printed:?}");
        assert_eq!(printed.texts()[0], printed.texts()[2]);
        assert_eq!(printed.texts()[1], printed.texts()[3]);
        let progress = |n: usize| printed.results[n]["progress"].as_array().unwrap().len();
        assert!(progress(1) > 0, "progress flows: {printed:?}");
        assert_eq!(progress(3), 0, "a replay sends no old progress: {printed:?}");
        assert_eq!(calls(&engine).len(), before + 2, "{:#?}", calls(&engine));
    }
}

#[test]
fn a_read_only_hint_counts_only_from_a_trusted_server() {
    let place = Place::new();
    let server = Server::of(Sdk::Python, &place.effects, "json");
    let engine = place.builder.start();
    let printed =
        run_client(Sdk::Python, Some(&engine), "legacy", &url(&server), &["look", "look"]);
    assert_eq!(printed.texts(), ["seen"; 2]);
    assert_eq!(place.effects(), ["look"], "no configuration says that the server is trusted");

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
        let printed =
            run_client(Sdk::Python, engine_of, "legacy", &server, &["look", "look", SEND, SEND]);
        assert_eq!(
            printed.texts(),
            ["seen", "seen", "sent 1 to ada", "sent 1 to ada"],
            "{trusted}"
        );
        assert_eq!(place.effects(), ["look", "look", "send ada 1"], "{trusted}");
        assert_eq!(calls(&engine).len(), 1, "{trusted}");
    }
}
