//! The transparent door: an HTTP forward proxy that makes calls durable and duplicate-free.
//!
//! One request takes six steps, one file each: `request` (what is asked), `key` (which execution it
//! means), `claim` (may it run), `forward` (send it), `record` (consume the lease with the outcome),
//! `respond` (the answer). `service` calls them in that order; there is no other road to them.
#![warn(missing_docs)]

mod body;
mod budget;
mod call;
mod chain;
mod claim;
mod confirm;
mod connect;
mod deadline;
mod delivery;
mod dial;
mod error;
mod explain;
mod failpoint;
mod forms;
mod forward;
mod headers;
mod intake;
mod key;
mod listener;
pub mod mcp;
mod owned;
mod patience;
mod pattern;
mod policy;
mod pool;
mod record;
mod request;
mod respond;
mod rewind;
mod route;
mod service;
mod serving;
mod spool;
mod stored;
mod tls;
mod upstream_key;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hyper::header::HeaderValue;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use crate::chain::{Chain, Hop};
pub use crate::explain::{Asked, ExplainedCall, Explanation, Part, explain};
pub use crate::pattern::{HostName, HostPattern};
use crate::policy::Policy;
pub use crate::policy::Rule;
use crate::request::Authority;
pub use crate::route::Route;
pub use crate::tls::ca::Ca;
pub use crate::tls::constraints::CaFacts;
use crate::tls::intercept::Interceptor;
pub use crate::tls::upstream::UpstreamCa;
use crate::tls::upstream::Upstreams;

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

/// How requests are treated: what may change while a proxy runs, by [`Proxy::reload`].
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Hosts whose requests are passed on unguarded, audited.
    pub pass: Vec<HostPattern>,
    /// Use the shipped table of POSTs that only read.
    pub reads_table: bool,
    /// Use the shipped table of upstreams that honour idempotency keys.
    pub keyed_table: bool,
    /// The first that is about a request decides.
    pub rules: Vec<Rule>,
    /// Upstreams with a path on the proxy's own port.
    pub routes: Vec<Route>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pass: Vec::new(),
            reads_table: true,
            keyed_table: true,
            rules: Vec::new(),
            routes: Vec::new(),
        }
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

/// The proxy. Clone is cheap.
#[derive(Debug, Clone)]
pub struct Proxy(Arc<Shared>);

impl Proxy {
    /// A proxy that is not listening yet. Refuses a file of certificates that cannot be used, and a
    /// CA that may not sign for all intercepted hosts.
    pub fn new(config: Config) -> Result<Self, SetupError> {
        Ok(Self(Arc::new(Shared::new(config)?)))
    }

    /// The certificate, in PEM, that clients of intercepted hosts must trust; `None` where no host
    /// is intercepted.
    pub fn ca_pem(&self) -> Option<&str> {
        self.0.interceptor.as_ref().map(|interceptor| interceptor.ca().pem())
    }

    /// Serves until `shutdown`, then drains: no new connections, and up to `timeouts.drain` for
    /// what runs. Guarded calls that still run then are left in doubt for the next start.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) {
        listener::serve(Arc::clone(&self.0), listener, shutdown).await;
    }

    /// Treats requests by `settings` from here on; those that were decided before go on as they
    /// were. No connection ends.
    pub fn reload(&self, settings: &Settings) {
        let policy = Arc::new(Policy::new(settings));
        *self.0.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// How many duplicates wait for a running call.
    pub fn waiting(&self) -> usize {
        self.0.config.max_waiters.saturating_sub(self.0.waiters.available_permits())
    }
}

/// Why a proxy cannot be set up, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(String);

/// Where a proxy is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// Connections end with their request.
    Draining,
    /// They end now.
    Closing,
}

/// What all connections and calls share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    /// This proxy in `Via`.
    pub(crate) via: HeaderValue,
    policy: RwLock<Arc<Policy>>,
    pub(crate) guard: dial::Guard,
    pub(crate) pool: Arc<pool::Pool>,
    pub(crate) upstreams: Upstreams,
    pub(crate) interceptor: Option<Interceptor>,
    pub(crate) spool: Arc<spool::Area>,
    /// For request bodies whose calls are not in flight yet.
    pub(crate) unread: Arc<budget::Budget>,
    pub(crate) in_flight: Arc<Semaphore>,
    pub(crate) waiters: Semaphore,
    pub(crate) deliveries: Arc<delivery::Deliveries>,
    pub(crate) mcp: mcp::Known,
    /// Clients' connections, in tunnels too.
    pub(crate) connections: TaskTracker,
    /// Claimed calls.
    pub(crate) exchanges: TaskTracker,
    /// What is outside of HTTP.
    pub(crate) tunnels: TaskTracker,
    pub(crate) draining: CancellationToken,
    pub(crate) closing: CancellationToken,
    phase: AtomicU8,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Shared {
    fn new(config: Config) -> Result<Self, SetupError> {
        let interceptor = Interceptor::new(&config.intercept, config.ca.as_ref())?;
        let own_ca = interceptor.as_ref().map(Interceptor::ca).or(config.ca.as_ref());
        let upstreams = Upstreams::new(&config.upstream_ca, own_ca.map(Ca::certificate))?;
        let policy = Policy::new(&config.settings);
        let via = HeaderValue::try_from(format!("1.1 {}", config.instance))
            .map_err(|_| SetupError(format!("{:?} is no name for Via", config.instance)))?;
        let own = [config.proxy_addresses.as_slice(), &config.api_addresses].concat();
        Ok(Self {
            via,
            policy: RwLock::new(Arc::new(policy)),
            guard: dial::Guard::new(
                own,
                config.upstream_proxy.clone(),
                config.refuse_loopback,
                config.refuse_private,
            ),
            pool: Arc::default(),
            upstreams,
            interceptor,
            spool: Arc::new(spool::Area::new(config.spool_dir.clone(), config.spool_quota)),
            unread: Arc::new(budget::Budget::new(config.max_unread)),
            in_flight: Arc::new(Semaphore::new(config.max_in_flight)),
            waiters: Semaphore::new(config.max_waiters),
            deliveries: Arc::default(),
            mcp: mcp::Known::new(&config.mcp_trust),
            connections: TaskTracker::new(),
            exchanges: TaskTracker::new(),
            tunnels: TaskTracker::new(),
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
            phase: AtomicU8::new(0),
            config,
        })
    }

    /// The policy as it is now; one request asks once and keeps it.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Closing,
        }
    }

    pub(crate) fn drain(&self) {
        self.phase.store(1, Ordering::Release);
        self.draining.cancel();
    }

    pub(crate) fn close(&self) {
        self.phase.store(2, Ordering::Release);
        self.closing.cancel();
    }

    /// Does `authority` name this proxy's own port.
    pub(crate) fn is_own(&self, authority: &Authority) -> bool {
        let named = || {
            let base = self.config.confirm_base.strip_prefix("http://");
            base.is_some_and(|base| base == authority.to_string())
        };
        let at_own = |ip| dial::is_own(&self.config.proxy_addresses, ip, authority.port);
        self.config.proxy_addresses.iter().any(|own| own.port() == authority.port)
            && (dial::literal(&authority.host).is_some_and(at_own) || named())
    }

    pub(crate) fn check_token(&self) -> impl Fn(&str, &str) -> bool {
        |session, token| self.config.store.check_session_token(session, token)
    }
}
