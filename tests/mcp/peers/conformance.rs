//! The verdicts of MCP's conformance suite, with and without the engine.

use testkit::engine;

use super::programs::{Sdk, Server};
use super::{Place, calls, programs};

/// Checks the verdicts without an engine: none is bad, and at least this many are good.
#[track_caller]
fn assert_good(verdicts: &[String], at_least: usize) {
    let bad: Vec<_> = verdicts.iter().filter(|one| one.ends_with("FAILURE")).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let good = verdicts.iter().filter(|one| one.ends_with("SUCCESS")).count();
    assert!(good >= at_least, "{verdicts:#?}");
}

/// The same verdicts through the engine as without it: all kinds of content, messages of a tool while it
/// works, requests of a tool to the client, and resumed streams.
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

/// The same with `PyPI`'s server, which has only some of the suite's features.
#[test]
fn the_conformance_suite_gives_the_same_verdicts_on_another_server() {
    let place = Place::new();
    let server = Server::of(Sdk::Python, &place.effects, "events");
    let without = programs::conformance(None, &server.url);
    let good = without.iter().filter(|one| one.ends_with("SUCCESS")).count();
    assert!(good >= 8, "{without:#?}");
    let engine = place.builder.start();
    assert_eq!(programs::conformance(Some(&engine), &server.url), without);
    assert!(!calls(&engine).is_empty(), "it went through the engine");
}

/// The protocol's own SDK as the client: with a response on the session's other stream, with a request to
/// the client during a call, and with an authorization first.
#[test]
fn a_client_conforms_through_the_engine_as_it_does_without() {
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
