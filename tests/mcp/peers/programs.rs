//! MCP clients and servers of other projects, each as a process.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use testkit::{Engine, here};

fn python() -> PathBuf {
    here("target/venv-mcp/bin/python")
}

fn node() -> PathBuf {
    here("tests/clients/node_modules/.bin/node")
}

/// The SDK of a client or server. Both have the same arguments, output and tools.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sdk {
    /// `mcp` from `PyPI`.
    Python,
    /// `rmcp` from crates.io.
    Rust,
}

impl Sdk {
    fn server(self, effects: &Path, how: &str) -> Vec<String> {
        let mut words = match self {
            Self::Python => vec![python(), here("tests/mcp/peers/server.py")],
            Self::Rust => vec![rmcp_peer(), "serve".into()],
        };
        words.extend([effects.to_owned(), how.into()]);
        words.iter().map(|word| word.display().to_string()).collect()
    }

    fn client(self) -> Command {
        match self {
            Self::Python => {
                let mut command = plain(python());
                command.arg(here("tests/mcp/peers/client.py"));
                command
            }
            Self::Rust => {
                let mut command = plain(rmcp_peer());
                command.arg("call");
                command
            }
        }
    }
}

/// Cargo builds it next to the engine, because its package has tests.
fn rmcp_peer() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_openclaw-state-engine")).with_file_name("rmcp-peer");
    assert!(path.exists(), "{} does not exist: cargo build -p rmcp-peer", path.display());
    path
}

/// A command without a proxy in its environment.
fn plain(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = testkit::command(program);
    command.stdin(Stdio::null());
    command
}

/// A command with the engine's proxy only in its environment.
fn guarded(mut command: Command, engine: Option<&Engine>) -> Command {
    if let Some(engine) = engine {
        let proxy = format!("http://{}", engine.proxy);
        for name in ["http_proxy", "HTTP_PROXY"] {
            command.env(name, &proxy);
        }
        command.env("NODE_USE_ENV_PROXY", "1");
        command.env("NODE_OPTIONS", "--disable-warning=UNDICI-EHPA");
    }
    command
}

/// A server that is killed when it is dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Server {
    /// Over HTTP; `how` is `json` or `events`.
    pub(crate) fn of(sdk: Sdk, effects: &Path, how: &str) -> Self {
        let words = sdk.server(effects, how);
        let mut command = plain(&words[0]);
        command.args(&words[1..]);
        Self::printing_its_port(command)
    }

    /// A server with every feature of the conformance suite, built with the protocol's own SDK.
    pub(crate) fn conforming() -> Self {
        let mut command = plain(node());
        command.arg(here("tests/mcp/peers/conforming_server.mjs"));
        Self::printing_its_port(command)
    }

    fn printing_its_port(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let url = format!("http://127.0.0.1:{}/mcp", port.trim());
        Self { child, url }
    }

    /// `@modelcontextprotocol/server-everything`, over HTTP on a free port.
    pub(crate) fn everything() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = plain(node());
        command.arg(here(EVERYTHING)).arg("streamableHttp").env("PORT", port.to_string());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        testkit::wait_until("the server listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { child, url: format!("http://127.0.0.1:{port}/mcp") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const EVERYTHING: &str =
    "tests/mcp/peers/node_modules/@modelcontextprotocol/server-everything/dist/index.js";

/// The command of a server on stdio.
pub(crate) fn stdio_server(sdk: Sdk, effects: &Path) -> Vec<String> {
    sdk.server(effects, "stdio")
}

/// The command of `server-everything` on stdio.
pub(crate) fn stdio_everything() -> Vec<String> {
    let words = [node(), here(EVERYTHING), "stdio".into()];
    words.iter().map(|word| word.display().to_string()).collect()
}

/// `server` behind the wrapper.
pub(crate) fn wrapped(database: &Path, server: &[String]) -> Vec<String> {
    let binary = env!("CARGO_BIN_EXE_openclaw-state-engine");
    let database = database.display().to_string();
    let wrapper = [binary, "mcp", "--name", "peer", "--database", &database, "--"];
    wrapper.iter().map(|word| (*word).to_owned()).chain(server.iter().cloned()).collect()
}

/// A client that calls tools one after another.
pub(crate) fn client(
    sdk: Sdk,
    engine: Option<&Engine>,
    mode: &str,
    server: &[String],
    calls: &[&str],
) -> Command {
    let mut command = guarded(sdk.client(), engine);
    command.arg(mode).args(server).arg("::").args(calls);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a client printed: first its protocol version, then the results.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) version: String,
    pub(crate) results: Vec<Value>,
}

impl Printed {
    #[track_caller]
    pub(crate) fn of(output: &Output) -> Self {
        let lines = String::from_utf8_lossy(&output.stdout);
        let mut lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let version = lines.next().unwrap_or_else(|| panic!("{output:?}"));
        let version = version["version"].as_str().unwrap().to_owned();
        Self { version, results: lines.collect() }
    }

    #[track_caller]
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.results.iter().map(|result| result["text"].as_str().unwrap()).collect()
    }
}

/// Runs a client to its end.
#[track_caller]
pub(crate) fn run_client(
    sdk: Sdk,
    engine: Option<&Engine>,
    mode: &str,
    server: &[String],
    calls: &[&str],
) -> Printed {
    let output = client(sdk, engine, mode, server, calls).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    Printed::of(&output)
}

/// The verdicts of the conformance suite about a server, by check.
pub(crate) fn conformance(engine: Option<&Engine>, url: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = guarded(plain(node()), engine);
    command
        .arg(here("tests/mcp/peers/node_modules/@modelcontextprotocol/conformance/dist/index.js"))
        .args(["server", "--suite", "all", "--url", url, "--output-dir"])
        .arg(folder.path())
        .current_dir(folder.path());
    let output = command.output().unwrap();
    assert!(output.status.code().is_some(), "{output:?}");
    verdicts(folder.path())
}

/// The verdicts of the conformance suite about a client in one of its scenarios.
pub(crate) fn client_conformance(engine: Option<&Engine>, scenario: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let client = here("tests/mcp/peers/conforming.mjs");
    let client = format!("{} {}", node().display(), client.display());
    let mut command = guarded(plain(node()), engine);
    command
        .arg(here("tests/mcp/peers/node_modules/@modelcontextprotocol/conformance/dist/index.js"))
        .args(["client", "--command", &client, "--scenario", scenario, "--output-dir"])
        .arg(folder.path())
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut suite = command.spawn().unwrap();
    // The scenario's server then waits for all connections to close, also the engine's idle ones.
    let results = match scenario.split_once('/') {
        Some((part, _)) => folder.path().join(part),
        None => folder.path().to_owned(),
    };
    testkit::wait_until("the verdicts are there", || {
        let mut found = fs::read_dir(&results).ok()?.flatten();
        found.any(|one| one.path().join("stderr.txt").exists()).then_some(())
    });
    let _ = suite.kill();
    let _ = suite.wait();
    verdicts(&results)
}

/// `scenario check STATUS` of each check, sorted and without duplicates: how often a check runs can depend
/// on a race of the client's streams. The time is cut off the scenarios' names.
fn verdicts(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for found in fs::read_dir(folder).unwrap().flatten() {
        let Ok(checks) = fs::read_to_string(found.path().join("checks.json")) else { continue };
        let name = found.file_name().to_string_lossy().into_owned();
        let scenario = name.split("-20").next().unwrap();
        let checks: Vec<Value> = serde_json::from_str(&checks).unwrap();
        for check in checks {
            let status = check["status"].as_str().unwrap();
            if status != "INFO" {
                all.push(format!("{scenario} {} {status}", check["id"].as_str().unwrap()));
            }
        }
    }
    assert!(!all.is_empty(), "no verdicts");
    all.sort();
    all.dedup();
    all
}
