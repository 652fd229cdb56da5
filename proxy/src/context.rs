//! What all connections and calls share.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use hyper::header::HeaderValue;
use proxy_core::http::address;
use proxy_core::http::route::Route;
use proxy_core::http::target::Authority;
use proxy_core::policy::decide::Policy;
use proxy_core::settings::Settings;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::budget::Budget;
use crate::body::spool::Area;
use crate::config::Config;
use crate::error::SetupError;
use crate::front::delivery::Deliveries;
use crate::front::tls_intercept::Interceptor;
use crate::front::tls_intercept::ca::Ca;
use crate::mcp::known::Known;
use crate::upstream::guard::{self, Guard};
use crate::upstream::pool::Pool;
use crate::upstream::tls::Upstreams;

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
pub(crate) struct ProxyContext {
    pub(crate) config: Config,
    /// This proxy in `Via`.
    pub(crate) via: HeaderValue,
    policy: RwLock<Arc<Policy>>,
    routes: RwLock<Arc<[Route]>>,
    pub(crate) guard: Guard,
    pub(crate) pool: Arc<Pool>,
    pub(crate) upstreams: Upstreams,
    pub(crate) interceptor: Option<Interceptor>,
    pub(crate) spool: Arc<Area>,
    /// For request bodies whose calls are not in flight yet.
    pub(crate) unread: Arc<Budget>,
    pub(crate) in_flight: Arc<Semaphore>,
    pub(crate) waiters: Semaphore,
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) mcp: Known,
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

impl fmt::Debug for ProxyContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyContext").field("config", &self.config).finish_non_exhaustive()
    }
}

impl ProxyContext {
    pub(crate) fn new(config: Config) -> Result<Self, SetupError> {
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
            routes: RwLock::new(config.settings.routes.clone().into()),
            guard: Guard::new(
                own,
                config.upstream_proxy.clone(),
                config.refuse_loopback,
                config.refuse_private,
            ),
            pool: Arc::default(),
            upstreams,
            interceptor,
            spool: Arc::new(Area::new(config.spool_dir.clone(), config.spool_quota)),
            unread: Arc::new(Budget::new(config.max_unread)),
            in_flight: Arc::new(Semaphore::new(config.max_in_flight)),
            waiters: Semaphore::new(config.max_waiters),
            deliveries: Arc::default(),
            mcp: Known::new(&config.mcp_trust),
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

    /// The routes as they are now.
    pub(crate) fn routes(&self) -> Arc<[Route]> {
        Arc::clone(&self.routes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Treats requests by `settings` from here on.
    pub(crate) fn reload(&self, settings: &Settings) {
        let policy = Arc::new(Policy::new(settings));
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
        let routes = settings.routes.clone().into();
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = routes;
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
        let at_own = |ip| guard::is_own(&self.config.proxy_addresses, ip, authority.port);
        self.config.proxy_addresses.iter().any(|own| own.port() == authority.port)
            && (address::literal(&authority.host).is_some_and(at_own) || named())
    }

    pub(crate) fn check_token(&self) -> impl Fn(&str, &str) -> bool {
        |session, token| self.config.store.check_session_token(session, token)
    }
}
