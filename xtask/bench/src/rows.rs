//! What is measured: the server, the call, and the hits that the upstream must have counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;
use testkit::{Builder, Engine, Request, Trusting};

use super::clients::Program;
use super::load::{self, Numbers, PLACE, Run, Shape, Span, Tunnel};
use super::servers::Upstream;

/// What the upstream, or the store, must have counted after a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effects {
    /// Each answer is one hit of the upstream.
    Each,
    /// The first answer is one hit of the upstream, and no other is.
    First,
    /// Nothing reached the upstream.
    None,
    /// Each answer is one execution more, and nothing reached the upstream.
    Stored,
}

/// One line of the table.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) addr: SocketAddr,
    pub(super) load: Load,
    pub(super) effects: Effects,
}

/// Who makes the calls of a row.
pub(super) enum Load {
    /// The load generator.
    Own(Shape),
    /// A real client, with one call at a time.
    Program(Program),
}

impl Row {
    /// Runs it once. Fails if an answer is wrong or the upstream did not count the expected hits.
    pub(super) fn run(
        &self,
        connections: usize,
        span: Span,
        upstream: &Upstream,
        engine: Option<&Engine>,
    ) -> anyhow::Result<Run> {
        let hits = upstream.hits();
        let stored = engine.map_or(0, executions);
        let run = match &self.load {
            Load::Own(shape) => load::run(self.addr, shape, connections, span),
            Load::Program(program) => program.run(self.addr, span),
        };
        let run = run.context(self.name.clone())?;
        let hits = upstream.hits() - hits;
        let stored = engine.map_or(0, executions) - stored;
        let name = &self.name;
        ensure!(run.measured > 0, "{name}: no answer");
        let expected = match self.effects {
            Effects::Each => run.answers,
            Effects::First => 1,
            Effects::None | Effects::Stored => 0,
        };
        ensure!(hits == expected, "{name}: {hits} hits of the upstream, not {expected}");
        if let Some(expected) = match self.effects {
            Effects::Stored => Some(run.answers),
            Effects::None if engine.is_some() => Some(0),
            _ => None,
        } {
            ensure!(stored == expected, "{name}: {stored} new executions, not {expected}");
        }
        Ok(run)
    }
}

/// How many executions the engine has stored.
pub(super) fn executions(engine: &Engine) -> u64 {
    let stats = engine.rpc("get_stats", &json!({}));
    let counts = stats["executions"].as_object().cloned().unwrap_or_default();
    counts.values().filter_map(serde_json::Value::as_u64).sum()
}

/// The number of calls over TLS that are stored, so that duplicates of them can be made.
pub(super) const SECURED: u64 = 200;

/// An engine on an empty store, which intercepts the tunnels to the upstream.
pub(super) fn builder(binary: &str, upstream: &Upstream) -> Builder {
    let builder = Builder::new(binary).arg("--intercept").arg("localhost");
    builder.arg("--upstream-ca").arg(upstream.ca.file())
}

/// A tunnel through the engine, which intercepts it.
fn tunnel(engine: &Engine, upstream: &Upstream) -> Tunnel {
    let ca = engine.http(&Request::get(&format!("http://{}/ca.pem", engine.api))).text();
    let trusting = Trusting::new(&ca, &["http/1.1"]);
    Tunnel { host: "localhost", port: upstream.secured.port(), trusting }
}

/// An engine with a store of known size, and the number of its next new call.
pub(super) struct Bed {
    pub(super) builder: Builder,
    /// The number of stored API calls, and of proxied calls: the calls with numbers below this one.
    pub(super) stored: u64,
    ids: [String; 3],
    next: Arc<AtomicU64>,
}

impl Bed {
    /// Fills an empty store with `size` executions, half through the API and half through the proxy.
    pub(super) fn fill(builder: Builder, size: u64, upstream: &Upstream) -> anyhow::Result<Self> {
        let engine = builder.start();
        let (user, session, goal) = engine.goal("bench");
        let next = Arc::new(AtomicU64::new(0));
        let bed = Self { builder, stored: size / 2, ids: [user, session, goal], next };
        let span = Span { warm: Duration::ZERO, measured: Duration::from_hours(1) };
        for shape_of in [Self::proxy_shape, Self::api_fresh_shape] {
            let next = Arc::new(AtomicU64::new(0));
            let shape = shape_of(&bed, &engine, upstream, Numbers::Fill { next, end: bed.stored });
            let addr =
                if shape.request.starts_with("POST http") { engine.proxy } else { engine.api };
            let run = load::run(addr, &shape, 64, span).context("fill the store")?;
            ensure!(run.answers == bed.stored, "filled with {} of {}", run.answers, bed.stored);
        }
        bed.next.store(bed.stored, std::sync::atomic::Ordering::Relaxed);
        let all = Numbers::Fill { next: Arc::new(AtomicU64::new(0)), end: SECURED };
        let secured = bed.secured_shape(&tunnel(&engine, upstream), all);
        load::run(engine.proxy, &secured, 16, span).context("fill the store over TLS")?;
        let stored = bed.stored * 2 + SECURED;
        ensure!(executions(&engine) == stored, "the store has a different size");
        engine.terminate();
        let (status, _) = engine.wait();
        ensure!(status.success(), "the engine ended with {status}");
        Ok(bed)
    }

    /// A copy of the closed store in its own folder.
    pub(super) fn copy(&self, binary: &str, upstream: &Upstream) -> anyhow::Result<Self> {
        let builder = builder(binary, upstream);
        let to = builder.database_path().parent().context("a database has a folder")?;
        let from = self.builder.database_path().parent().context("a database has a folder")?;
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
        }
        let (ids, next) = (self.ids.clone(), Arc::clone(&self.next));
        Ok(Self { builder, stored: self.stored, ids, next })
    }

    /// Passthrough, guarded and API calls, fresh and duplicate.
    pub(super) fn rows(&self, engine: &Engine, upstream: &Upstream, label: &str) -> Vec<Row> {
        let fresh = || Numbers::Fresh(Arc::clone(&self.next));
        let known = || Numbers::Below(self.stored);
        let get = format!("http://{}/get/{PLACE}", upstream.addr);
        let host = format!("Host: {}\r\n", upstream.addr);
        let tunnel = tunnel(engine, upstream);
        let secured_host = format!("Host: {}\r\n", tunnel.authority());
        let secured_get = Shape::get(&format!("/get/{PLACE}"), &secured_host, fresh());
        let row = |name: &str, addr, shape, effects| Row {
            name: format!("{name} @ {label}"),
            addr,
            load: Load::Own(shape),
            effects,
        };
        vec![
            row("passthrough GET", engine.proxy, Shape::get(&get, &host, fresh()), Effects::Each),
            row(
                "guarded fresh",
                engine.proxy,
                self.proxy_shape(engine, upstream, fresh()),
                Effects::Each,
            ),
            row(
                "guarded duplicate",
                engine.proxy,
                self.proxy_shape(engine, upstream, known()),
                Effects::None,
            ),
            row(
                "API fresh",
                engine.api,
                self.api_fresh_shape(engine, upstream, fresh()),
                Effects::Stored,
            ),
            row("API duplicate", engine.api, self.api_shape(engine, known(), true), Effects::None),
            row("intercepted GET", engine.proxy, secured_get.inside(&tunnel), Effects::Each),
            row(
                "intercepted fresh",
                engine.proxy,
                self.secured_shape(&tunnel, fresh()),
                Effects::Each,
            ),
            row(
                "intercepted duplicate",
                engine.proxy,
                self.secured_shape(&tunnel, Numbers::Below(SECURED)),
                Effects::None,
            ),
        ]
    }

    /// A POST with a key derived from its content, in a named session: its window is a day.
    pub(super) fn proxy_shape(&self, _: &Engine, upstream: &Upstream, numbers: Numbers) -> Shape {
        let host = format!("Host: {}\r\nAgent-Session: {}\r\n", upstream.addr, self.ids[1]);
        Shape::post(&format!("http://{}/post", upstream.addr), &host, numbers)
    }

    /// The same call over TLS, in a tunnel.
    fn secured_shape(&self, tunnel: &Tunnel, numbers: Numbers) -> Shape {
        let authority = tunnel.authority();
        let head = format!("Host: {authority}\r\nAgent-Session: {}\r\n", self.ids[1]);
        Shape::post("/post", &head, numbers).inside(tunnel)
    }

    fn api_fresh_shape(&self, engine: &Engine, _: &Upstream, numbers: Numbers) -> Shape {
        self.api_shape(engine, numbers, false)
    }

    fn api_shape(&self, engine: &Engine, numbers: Numbers, duplicate: bool) -> Shape {
        let [user, session, goal] = &self.ids;
        let key = format!("\"idempotency_key\":\"bench-{PLACE}\"");
        let body = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"execute_tool_idempotent\",\"params\":{{\
             \"user_id\":\"{user}\",\"session_id\":\"{session}\",\"goal_id\":\"{goal}\",\
             \"tool_name\":\"send_email\",\"tool_input\":{{\"to\":\"{PLACE}@example.com\"}},{key}}}}}"
        );
        let claim = format!("\"duplicate\":{duplicate}");
        let to = format!("{PLACE}@example.com");
        Shape::rpc(engine.api, &body, numbers, &[&key, &claim, &to])
    }
}
