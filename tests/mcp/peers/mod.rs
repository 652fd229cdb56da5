//! Real peers of MCP through the real engine: `PyPI`'s `mcp` and crates.io's `rmcp`, each as client and
//! server of both, over HTTP and stdio and in both protocols, `server-everything`, and the conformance
//! suite. Effects are counted by the server.

mod calls;
mod conformance;
mod kills;
mod programs;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use programs::{Said, Sdk, Server, ask, client};
use testkit::{Builder, Engine, engine};

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
