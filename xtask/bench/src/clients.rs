//! Calls by real programs, one at a time: each library has its way to write, read and reconnect.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, ensure};

use super::load::{Run, Span};
use super::rows::{Effects, Load, Row};
use super::servers::Upstream;

/// The libraries, and how each is called in names of rows.
pub(super) const LIBRARIES: [&str; 4] = ["requests session", "requests", "httpx", "fetch"];

/// The number of the next program's first call. Each program may make a million.
static FIRST: AtomicU64 = AtomicU64::new(1 << 40);

/// The clients that `cargo xtask test` has installed.
pub(super) struct Clients {
    root: PathBuf,
    libraries: Vec<&'static str>,
}

/// One client of a run.
pub(super) struct Program {
    library: &'static str,
    script: PathBuf,
    interpreter: PathBuf,
    url: String,
    /// The new calls of the run all differ, or all are the same.
    numbers: &'static str,
}

impl Clients {
    /// Also returns which clients are missing.
    pub(super) fn find(root: &Path) -> (Self, Vec<String>) {
        let mut clients = Self { root: root.to_owned(), libraries: Vec::new() };
        let mut missing = Vec::new();
        for library in LIBRARIES {
            if clients.interpreter(library).exists() {
                clients.libraries.push(library);
            } else {
                missing.push(format!("client {library}: `cargo xtask test` installs it"));
            }
        }
        (clients, missing)
    }

    fn interpreter(&self, library: &str) -> PathBuf {
        self.root.join(match library {
            "fetch" => "tests/clients/node_modules/.bin/node",
            _ => "target/venv/bin/python",
        })
    }

    /// The rows of each client through `proxy`, which is called `name`. `duplicates`: it answers them.
    pub(super) fn rows(
        &self,
        name: &str,
        proxy: Option<SocketAddr>,
        upstream: &Upstream,
        duplicates: bool,
    ) -> Vec<Row> {
        let kinds = [("fresh", Effects::Each), ("same", Effects::First)];
        let kinds = &kinds[..if duplicates { 2 } else { 1 }];
        let rows = self.libraries.iter().flat_map(|library| {
            kinds.iter().map(move |(numbers, effects)| Row {
                name: match *numbers {
                    "same" => format!("{library}: {name}, duplicate"),
                    _ => format!("{library}: {name}"),
                },
                addr: proxy.unwrap_or(upstream.addr),
                load: Load::Program(self.program(library, upstream, numbers)),
                effects: *effects,
            })
        });
        rows.collect()
    }

    fn program(
        &self,
        library: &'static str,
        upstream: &Upstream,
        numbers: &'static str,
    ) -> Program {
        let script = if library == "fetch" { "call.mjs" } else { "call.py" };
        Program {
            library,
            script: self.root.join("xtask/bench/clients").join(script),
            interpreter: self.interpreter(library),
            url: format!("http://{}/post", upstream.addr),
            numbers,
        }
    }
}

impl Program {
    /// Runs it through the proxy at `addr`, or directly if that is where its URL leads.
    pub(super) fn run(&self, addr: SocketAddr, span: Span) -> anyhow::Result<Run> {
        let proxy = format!("http://{addr}");
        let direct = self.url.starts_with(&format!("{proxy}/"));
        let seconds = (span.warm + span.measured).as_secs_f64();
        let first = FIRST.fetch_add(1_000_000, Ordering::Relaxed);
        let mut command = Command::new(&self.interpreter);
        command.arg(&self.script);
        if self.library == "fetch" {
            command.env("NODE_USE_ENV_PROXY", "1");
            command.env("HTTP_PROXY", if direct { "" } else { &proxy }).env("NO_PROXY", "");
            command.arg(seconds.to_string()).arg(&self.url);
        } else {
            command.arg(self.library).arg(seconds.to_string()).arg(&self.url);
            command.arg(if direct { "-" } else { &proxy });
        }
        let output = command.arg(first.to_string()).arg(self.numbers).output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}", stderr.lines().last().unwrap_or_default());
        let took: Vec<f64> = serde_json::from_slice(&output.stdout).context("its output")?;
        Ok(run_of(&took))
    }
}

/// The first call, which loads and connects, and has no duplicate before it, is not measured.
fn run_of(took: &[f64]) -> Run {
    let measured = took.get(1..).unwrap_or_default();
    let mut latencies: Vec<u64> = measured.iter().map(|us| (us * 1_000.0) as u64).collect();
    latencies.sort_unstable();
    Run {
        answers: took.len() as u64,
        measured: measured.len() as u64,
        seconds: measured.iter().sum::<f64>() / 1e6,
        latencies,
    }
}
