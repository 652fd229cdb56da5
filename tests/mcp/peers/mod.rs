//! Real MCP peers through the real engine: `PyPI`'s `mcp` and crates.io's `rmcp`, each as
//! client and server of both, over HTTP and stdio and in both protocols; `server-everything`; and the
//! conformance suite. The server counts the effects.

mod calls;
mod conformance;
mod kills;
mod programs;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use programs::{Printed, Sdk, Server, client, run_client};
use testkit::{Builder, Engine, engine};

const SEND: &str = r#"send={"to":"ada","n":1}"#;

/// The versions that both clients choose: with sessions, and stateless.
const MODES: [(&str, &str); 2] = [("legacy", "2025-11-25"), ("auto", "2026-07-28")];

/// Testing each protocol with each form of answer would start twice as many clients.
const PAIRS: [(&str, &str, &str); 2] =
    [("json", "auto", "2026-07-28"), ("events", "legacy", "2025-11-25")];

/// Client and server.
const PEERS: [(Sdk, Sdk); 4] = [
    (Sdk::Python, Sdk::Python),
    (Sdk::Rust, Sdk::Rust),
    (Sdk::Python, Sdk::Rust),
    (Sdk::Rust, Sdk::Python),
];

/// In addition to `PEERS`: each client and each server in both protocols.
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
    /// Its server gives the events of a stream ids, so it may send the response on another stream.
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
    fn run_client(&self, engine: &Engine, server: &Server, calls: &[&str]) -> Printed {
        run_client(self.client, Some(engine), self.mode, &url(server), calls)
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
