//! The peer without the engine: shows that a repeated call has two effects.
#![expect(clippy::unwrap_used, reason = "a test stops at the first wrong thing")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

const PEER: &str = env!("CARGO_BIN_EXE_rmcp-peer");
const SEND: &str = r#"send={"to":"ada","n":1}"#;

/// Runs a client that makes the same call twice, and returns what it printed.
fn twice(mode: &str, server: &[&str]) -> Vec<String> {
    let mut client = Command::new(PEER);
    client.args(["call", mode]).args(server).args(["::", SEND, SEND]);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        client.env_remove(name);
    }
    let output = client.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn assert_two_effects(effects: &std::path::Path, version: &str, lines: &[String]) {
    let result = r#"{"isError":false,"progress":[],"text":"sent 1 to ada"}"#;
    assert_eq!(lines, [format!(r#"{{"version":"{version}"}}"#).as_str(), result, result]);
    assert_eq!(fs::read_to_string(effects).unwrap(), "send ada 1\nsend ada 1\n");
}

#[test]
fn the_same_call_has_two_effects_over_stdio() {
    let home = tempfile::tempdir().unwrap();
    let effects = home.path().join("effects");
    let lines = twice("auto", &[PEER, "serve", effects.to_str().unwrap(), "stdio"]);
    assert_two_effects(&effects, "2026-07-28", &lines);
}

#[test]
fn the_same_call_has_two_effects_over_http() {
    for how in ["json", "events"] {
        let home = tempfile::tempdir().unwrap();
        let effects = home.path().join("effects");
        let mut server = Command::new(PEER)
            .args(["serve", effects.to_str().unwrap(), how])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let lines = twice("legacy", &[&format!("http://127.0.0.1:{}/mcp", port.trim())]);
        server.kill().unwrap();
        server.wait().unwrap();
        assert_two_effects(&effects, "2025-11-25", &lines);
    }
}
