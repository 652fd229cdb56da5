//! Client, server, wrapper and engine are killed in turn. Nothing is repeated.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};

use testkit::{Engine, engine_with_failpoints, wait_until};

use super::programs::{Sdk, Server, client, run_client, stdio_server, wrapped};
use super::{CROSSED, Case, MODES, PEERS, Place, SEND, calls, cases, url};

/// The client is killed while the tool works. Its next run gets the tool's answer.
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
        let printed = case.run_client(&engine, &server, &["slow"]);
        assert_eq!(printed.texts(), ["at last"], "{case:?}");
        assert_eq!(place.effects(), ["slow"], "{case:?}");
    }
}

/// The server is killed while its tool works. Nobody knows whether the tool ran, and the client gets an
/// error that says so.
#[test]
fn a_killed_server_leaves_the_call_in_doubt() {
    for case in cases().filter(|case| !case.resumable()) {
        let place = Place::new();
        let mut server = case.start(&place);
        let engine = place.builder.start();
        let waiting = case.client(&engine, &server, &["slow"]).spawn().unwrap();
        wait_until("the tool works", || (!place.effects().is_empty()).then_some(()));
        server.child.kill().unwrap();
        let printed = wait_for_result(waiting, &engine);
        assert!(printed.contains("may have been carried out"), "{case:?}: {printed}");
        assert_eq!(calls(&engine)[0]["status"], "in_doubt", "{case:?}");
        assert_eq!(place.effects(), ["slow"], "{case:?}");
    }
}

/// A server whose events have ids may still send the response on another stream. The engine waits for it
/// as long as the client does. A call without an outcome at the engine's shutdown is in doubt.
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

/// The text of the client's only result. Its server is gone, so the client may not end by itself.
fn wait_for_result(mut client: Child, engine: &Engine) -> String {
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

/// The engine is killed while the tool works. After its restart the call is in doubt, and not repeated.
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
        let printed = case.run_client(&engine, &server, &["slow"]);
        assert_eq!(printed.results[0]["isError"], true, "{case:?}: {printed:?}");
        assert!(
            printed.texts()[0].contains("may already have taken effect"),
            "{case:?}: {printed:?}"
        );
        assert_eq!(place.effects(), ["slow"], "{case:?}");
    }
}

/// A kill of the client also ends the wrapper and its server, whose call first runs to its end.
pub(crate) fn a_kill_ends_the_wrapper_too(
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
    let printed = run_client(sdk, None, mode, server, &["slow"]);
    assert_eq!(printed.texts(), ["at last"], "{sdk:?} {mode}: it ran to its end and was recorded");
    assert_eq!(place.effects().len(), before + 1, "{sdk:?} {mode}");
}

/// The wrapper's server is killed while its tool works. Only with sessions: a client that first tries the
/// stateless protocol does not wait long for a server that starts slowly.
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
        let printed = run_client(sdk, None, mode, &server, &["slow"]);
        assert!(printed.texts()[0].contains("may already have taken effect"), "{at}: {printed:?}");
        assert_eq!(place.effects(), ["slow"], "{at}");
    }
}

/// Kills the process that was started with exactly this command line.
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

/// Kills the engine at a failpoint in a call, over HTTP or on stdio, and makes the call again.
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
    let printed = run_client(sdk, proxy_of, mode, &server, &[SEND]);
    if point == "before-reply" {
        assert_eq!(printed.texts(), ["sent 1 to ada"], "{at}");
    } else {
        assert!(printed.texts()[0].contains("may already have taken effect"), "{at}: {printed:?}");
    }
    let effects: &[&str] = if point == "after-claim" { &[] } else { &["send ada 1"] };
    assert_eq!(place.effects(), effects, "{at}");
    assert_eq!(calls(&engine).len(), 1, "{at}");
}

/// The failpoints that only tool calls reach.
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
