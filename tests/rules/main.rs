//! The configuration file through the real binary: rules, routes, reload, `config` and `explain`.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod compared;
mod differences;
mod explained;
mod file;
mod keyed;
mod routes;
mod settings;
mod shipped;
mod streams;
mod unknown;
mod windows;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testkit::{Builder, Engine, Upstream, engine, wait_until};

/// An engine with this configuration file; `UPSTREAM` in it is replaced by the upstream's host and port.
fn configured(upstream: &Upstream, toml: &str) -> Builder {
    let builder = engine!();
    let file = builder.home().join("engine.toml");
    fs::write(&file, toml.replace("UPSTREAM", &upstream.addr.to_string())).unwrap();
    builder.arg("--config").arg(file)
}

/// Gives a running engine another configuration file. Returns once it is loaded.
fn reconfigure(engine: &Engine, file: &Path, toml: &str) {
    let reloads = || engine.log().matches("configuration reloaded").count();
    let before = reloads();
    fs::write(file, toml).unwrap();
    engine.hang_up();
    wait_until("the file is loaded", || (reloads() > before).then_some(()));
}

fn fine() -> Upstream {
    Upstream::start(|_, exchange| exchange.answer(200, &[], b"done"))
}

/// The rule that decided about the newest call, and its tool.
#[track_caller]
fn decided(engine: &Engine) -> (String, String) {
    let executions = engine.proxied();
    let newest = executions.last().expect("a call was claimed");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let id = text(&newest["id"]);
    let whole = engine.rpc("get_tool_execution", &json!({ "id": id }));
    (text(&whole["rule"]), text(&whole["tool_name"]))
}
