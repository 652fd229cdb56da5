//! How a proxy behaves, and what it reports.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proxy_core::http::host_pattern::HostPattern;
use proxy_core::settings::Settings;
use store::Store;
use store::decision::Decision;
use uuid::Uuid;

use crate::front::tls_intercept::ca::Ca;
use crate::upstream::egress_proxy::EgressProxies;
use crate::upstream::tls::UpstreamCa;

/// How a proxy behaves. [`Config::new`] has the defaults.
#[derive(Clone)]
pub struct Config {
    /// Keeps claims and outcomes.
    pub store: Store,
    /// What may change while the proxy runs.
    pub settings: Settings,
    /// Where the proxy is reached, and how it names itself.
    pub own: OwnAddresses,
    /// Who may go where.
    pub access: Access,
    /// TLS on both sides.
    pub tls: TlsConfig,
    /// How much of everything there may be.
    pub limits: Limits,
    /// Where bodies over 256 KiB are spooled.
    pub spool: SpoolConfig,
    /// MCP servers whose `readOnlyHint` and `idempotentHint` are believed: `HOST`, `HOST:PORT`, a
    /// URL, or the name of a server on stdio.
    pub mcp_trust: Vec<String>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Gets every answered request. Must not block.
    pub observer: Observer,
}

/// Where a proxy is reached, and how it names itself.
#[derive(Debug, Clone)]
pub struct OwnAddresses {
    /// Where the proxy listens. Requests to these addresses are for the proxy itself, or refused.
    pub proxy: Vec<SocketAddr>,
    /// Where the state API listens. Only clients on this machine reach it through the proxy, at this very
    /// address.
    pub api: Vec<SocketAddr>,
    /// `http://HOST:PORT` of the proxy as clients reach it, for `confirm_url`.
    pub confirm_base: String,
    /// The proxy's name in `Via`: a token, different for each process.
    pub instance: String,
}

/// Who may go where through a proxy.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Nothing on this machine is reached through the proxy.
    pub refuse_loopback: bool,
    /// Nothing in private networks is reached through the proxy.
    pub refuse_private: bool,
    /// Every request needs its session's token as proxy credentials.
    pub require_token: bool,
    /// The ports that CONNECT may name. Empty: all of them.
    pub connect_ports: Vec<u16>,
    /// The user's own proxies, which calls go out through.
    pub upstream_proxy: Option<EgressProxies>,
}

/// TLS with clients and with upstreams.
#[derive(Debug, Clone, Default)]
pub struct TlsConfig {
    /// Hosts whose tunnels are intercepted, so that calls inside TLS are guarded. All other tunnels
    /// are passed on unread.
    pub intercept: Vec<HostPattern>,
    /// Signs for the intercepted hosts. `None`: the proxy creates one that lives in memory as long
    /// as it does.
    pub ca: Option<Ca>,
    /// Certificates that upstreams may be verified by besides the platform's.
    pub upstream_ca: Vec<UpstreamCa>,
}

/// How much of everything there may be.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest body of a guarded request, in bytes.
    pub max_request: u64,
    /// How many client connections may be open at once. Further ones wait in the kernel's backlog.
    pub max_connections: usize,
    /// How many tunnels may pass bytes on unread. Each takes two descriptors. Further ones get 503.
    pub max_tunnels: usize,
    /// How much memory request bodies may take before the proxy knows what they mean, in bytes.
    pub max_unread: usize,
    /// How much memory the bodies of answers over 64 KiB may take, in bytes.
    pub max_answers: usize,
    /// How many guarded calls may be in flight. Not more than the store was opened for.
    pub max_in_flight: usize,
    /// How many duplicates may wait for running calls.
    pub max_waiters: usize,
    /// How many answers may be waited for whose callers were given up.
    pub max_late: usize,
}

/// Where large bodies are spooled.
#[derive(Debug, Clone)]
pub struct SpoolConfig {
    /// The data folder.
    pub folder: PathBuf,
    /// How much disk space all spooled bodies together may take, in bytes.
    pub quota: u64,
}

impl Config {
    /// The defaults for a proxy at `proxy` beside an API at `api`. `spool` is the data folder.
    pub fn new(store: Store, proxy: SocketAddr, api: SocketAddr, spool: PathBuf) -> Self {
        Self {
            store,
            settings: Settings::default(),
            own: OwnAddresses {
                proxy: vec![proxy],
                api: vec![api],
                confirm_base: format!("http://{proxy}"),
                instance: format!("ose-{}", Uuid::now_v7().simple()),
            },
            access: Access::default(),
            tls: TlsConfig::default(),
            limits: Limits::default(),
            spool: SpoolConfig { folder: spool, quota: 4 * 1024 * 1024 * 1024 },
            mcp_trust: Vec::new(),
            timeouts: Timeouts::default(),
            observer: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("settings", &self.settings)
            .field("own", &self.own)
            .field("access", &self.access)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_request: 256 * 1024 * 1024,
            max_connections: 16_384,
            max_tunnels: 8_192,
            max_unread: 512 * 1024 * 1024,
            max_answers: 512 * 1024 * 1024,
            max_in_flight: 4_096,
            max_waiters: 10_000,
            max_late: 256,
        }
    }
}

/// How long things may take.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// Resolving and connecting to an upstream, in all. TLS with it gets the same time again.
    pub connect: Duration,
    /// How long a tool may be silent: from the last written byte of a request to the head of its
    /// answer, and between two parts of the answer. A rule may say otherwise.
    pub silence: Duration,
    /// How long the answer to a call is still waited for, once its tool was silent for too long.
    pub late: Duration,
    /// For a client to take any part of an answer.
    pub body_idle: Duration,
    /// Between two parts of a request's body, or until a client takes the next part of its answer.
    pub body_stall: Duration,
    /// From the first byte of a request's head to its last, and for a client's TLS handshake.
    pub request_head: Duration,
    /// Between two requests of a connection.
    pub idle: Duration,
    /// For one end of a tunnel to be silent after the other has closed.
    pub tunnel_idle: Duration,
    /// For a duplicate of a running call, until 409.
    pub max_wait: Duration,
    /// At shutdown, for running calls.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(300),
            late: Duration::from_hours(1),
            body_idle: Duration::from_secs(300),
            body_stall: Duration::from_secs(30),
            request_head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            tunnel_idle: Duration::from_secs(300),
            max_wait: Duration::from_secs(300),
            drain: Duration::from_secs(30),
        }
    }
}

/// Gets every answered request.
pub type Observer = Arc<dyn Fn(&Observation) + Send + Sync>;

/// One answered request, for metrics.
#[derive(Debug, Clone, Copy)]
pub struct Observation {
    /// How it ended.
    pub outcome: Outcome,
    /// From the request's head to the answer's head.
    pub duration: Duration,
    /// The upstream's part of it, if it was asked.
    pub upstream: Option<Duration>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was a call, passed on, or a tunnel.
    Decided(Decision),
    /// The proxy itself answered.
    Own,
    /// It was refused, or failed: the code of the problem (`docs/FAILURE_CONTRACT.md`).
    Problem(&'static str),
}

impl Outcome {
    /// The word that is counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decided(decision) => decision.as_str(),
            Self::Own => "own",
            Self::Problem(code) => code,
        }
    }
}
