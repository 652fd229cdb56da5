//! How a proxy behaves, and what it reports.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proxy_core::http::host_pattern::HostPattern;
use proxy_core::settings::Settings;
use store::Store;
use uuid::Uuid;

use crate::front::tls_intercept::ca::Ca;
use crate::upstream::egress_proxy::Chain;
use crate::upstream::tls::UpstreamCa;

/// How a proxy behaves. [`Config::new`] has the defaults.
#[derive(Clone)]
pub struct Config {
    /// Where claims and outcomes are kept.
    pub store: Store,
    /// Where the proxy itself listens: requests to there are for itself, or refused.
    pub proxy_addresses: Vec<SocketAddr>,
    /// Where the state API listens: nobody reaches it through the proxy.
    pub api_addresses: Vec<SocketAddr>,
    /// What may change while the proxy runs.
    pub settings: Settings,
    /// MCP servers whose `readOnlyHint` and `idempotentHint` are believed: `HOST`, `HOST:PORT`, a
    /// URL, or the name of a server on stdio.
    pub mcp_trust: Vec<String>,
    /// Nothing on this machine is reached through the proxy.
    pub refuse_loopback: bool,
    /// Nothing in private networks is reached through the proxy.
    pub refuse_private: bool,
    /// The ports that CONNECT may name; none: all of them.
    pub connect_ports: Vec<u16>,
    /// The user's own proxy, which calls go out through.
    pub upstream_proxy: Option<Chain>,
    /// Every request needs its session's token as proxy credentials.
    pub require_token: bool,
    /// The largest body of a guarded request, in bytes.
    pub max_request: u64,
    /// Where bodies over 256 KiB are spooled; the data folder.
    pub spool_dir: PathBuf,
    /// How much all spooled bodies together may take on disk, in bytes.
    pub spool_quota: u64,
    /// Names this proxy in `Via`: a token, different for each process.
    pub instance: String,
    /// `http://HOST:PORT` of the proxy as clients reach it, for `confirm_url`.
    pub confirm_base: String,
    /// How many connections of clients may be open at once; further ones wait in the kernel's backlog.
    pub max_connections: usize,
    /// How much memory request bodies may take before it is known what they mean, in bytes.
    pub max_unread: usize,
    /// How many guarded calls may be in flight; not more than the store was opened for.
    pub max_in_flight: usize,
    /// How many duplicates may wait for running calls.
    pub max_waiters: usize,
    /// Hosts whose tunnels are opened, so that calls inside of TLS are guarded; all others are blind.
    pub intercept: Vec<HostPattern>,
    /// Signs for them; `None`: one is made, which lives in memory as long as the proxy does.
    pub ca: Option<Ca>,
    /// Further certificates that upstreams may be verified by, besides the platform's.
    pub upstream_ca: Vec<UpstreamCa>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Is told of every answered request; must not block.
    pub observer: Observer,
}

impl Config {
    /// The defaults for a proxy at `proxy` beside an API at `api`.
    pub fn new(store: Store, proxy: SocketAddr, api: SocketAddr, spool_dir: PathBuf) -> Self {
        Self {
            store,
            proxy_addresses: vec![proxy],
            api_addresses: vec![api],
            settings: Settings::default(),
            mcp_trust: Vec::new(),
            refuse_loopback: false,
            refuse_private: false,
            connect_ports: Vec::new(),
            upstream_proxy: None,
            require_token: false,
            max_request: 256 * 1024 * 1024,
            spool_dir,
            spool_quota: 4 * 1024 * 1024 * 1024,
            instance: format!("ose-{}", Uuid::now_v7().simple()),
            confirm_base: format!("http://{proxy}"),
            max_connections: 16_384,
            max_unread: 512 * 1024 * 1024,
            max_in_flight: 4_096,
            max_waiters: 10_000,
            intercept: Vec::new(),
            ca: None,
            upstream_ca: Vec::new(),
            timeouts: Timeouts::default(),
            observer: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("proxy_addresses", &self.proxy_addresses)
            .field("api_addresses", &self.api_addresses)
            .field("settings", &self.settings)
            .field("require_token", &self.require_token)
            .field("intercept", &self.intercept)
            .finish_non_exhaustive()
    }
}

/// How long things may take.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// Resolving and connecting to an upstream, in all; and TLS with it, again.
    pub connect: Duration,
    /// From the last written byte of a request to the head of its answer.
    pub response_head: Duration,
    /// Between two parts of an answer's body; and for a client to take any of it.
    pub body_idle: Duration,
    /// Between two parts of a request's body, or until a client takes the next part of its answer.
    pub body_stall: Duration,
    /// From the first byte of a request's head to its last; and a client's TLS handshake.
    pub request_head: Duration,
    /// Between two requests of a connection.
    pub idle: Duration,
    /// For a duplicate of a running call, until 409.
    pub max_wait: Duration,
    /// At shutdown, for what runs.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            response_head: Duration::from_secs(300),
            body_idle: Duration::from_secs(300),
            body_stall: Duration::from_secs(30),
            request_head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            max_wait: Duration::from_secs(300),
            drain: Duration::from_secs(30),
        }
    }
}

/// Is told of every answered request.
pub type Observer = Arc<dyn Fn(&Observation) + Send + Sync>;

/// One answered request, for metrics.
#[derive(Debug, Clone, Copy)]
pub struct Observation {
    /// How it was decided: a word of `Idempotency-Status`, `passed`, `tunnel`, `own`, or the code
    /// of a problem.
    pub decision: &'static str,
    /// From the request's head to the answer's head.
    pub duration: Duration,
    /// The upstream's part of it, where it was asked.
    pub upstream: Option<Duration>,
}
