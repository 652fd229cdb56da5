//! What all connections and calls share.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use hyper::header::HeaderValue;
use proxy_core::error::Error;
use proxy_core::http::address;
use proxy_core::http::route::Route;
use proxy_core::http::target::Authority;
use proxy_core::identity::credentials::{ProxyCredentials, SessionTokens};
use proxy_core::policy::decide::Policy;
use proxy_core::settings::Settings;
use store::Store;
use tokio::sync::Semaphore;

use crate::body::buffer::BodyBuffers;
use crate::config::{Config, Observer, OwnAddresses, Timeouts};
use crate::error::SetupError;
use crate::front::delivery::Deliveries;
use crate::front::link::ClientLink;
use crate::front::tls_intercept::Interceptor;
use crate::front::tls_intercept::ca::Ca;
use crate::front::tunnel_places::TunnelPlaces;
use crate::lifecycle::Lifecycle;
use crate::mcp::servers::McpServers;
use crate::upstream::address_guard::{self, AddressGuard};
use crate::upstream::send::Upstreams;
use crate::upstream::tls::UpstreamTls;

/// What all connections and calls share.
pub(crate) struct ProxyContext {
    pub(crate) store: Store,
    pub(crate) own: OwnPort,
    rules: RwLock<Rules>,
    pub(crate) tunnels: TunnelRules,
    pub(crate) upstreams: Upstreams,
    pub(crate) bodies: BodyBuffers,
    pub(crate) calls: Calls,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) timeouts: Timeouts,
    pub(crate) observer: Observer,
}

/// The proxy's own port.
#[derive(Debug)]
pub(crate) struct OwnPort {
    pub(crate) addresses: OwnAddresses,
    /// This proxy in `Via`.
    pub(crate) via: HeaderValue,
    require_token: bool,
}

/// What may change while the proxy runs.
#[derive(Debug)]
struct Rules {
    policy: Arc<Policy>,
    routes: Arc<[Route]>,
}

/// Where tunnels may lead, and which are intercepted.
#[derive(Debug)]
pub(crate) struct TunnelRules {
    ports: Vec<u16>,
    pub(crate) places: TunnelPlaces,
    pub(crate) interceptor: Option<Interceptor>,
}

/// The calls that are not over.
#[derive(Debug)]
pub(crate) struct Calls {
    /// One permit for each guarded call that may be in flight.
    pub(crate) in_flight: Arc<Semaphore>,
    /// One permit for each duplicate that may wait.
    pub(crate) waiters: Semaphore,
    /// One permit for each answer that may still come after its caller was given up.
    pub(crate) late: Arc<Semaphore>,
    max_waiters: usize,
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) mcp: McpServers,
}

impl fmt::Debug for ProxyContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyContext").field("own", &self.own).finish_non_exhaustive()
    }
}

impl ProxyContext {
    pub(crate) fn new(config: Config) -> Result<Self, SetupError> {
        let Config { settings, own, access, tls, limits, timeouts, .. } = config;
        let interceptor = Interceptor::new(&tls.intercept, tls.ca.as_ref())?;
        let own_ca = interceptor.as_ref().map(Interceptor::ca).or(tls.ca.as_ref());
        let upstream_tls = UpstreamTls::new(&tls.upstream_ca, own_ca.map(Ca::certificate))?;
        let via = HeaderValue::try_from(format!("1.1 {}", own.instance))
            .map_err(|_| SetupError(format!("{:?} is not a valid name for Via", own.instance)))?;
        let guard = AddressGuard::new(&own.proxy, &own.api, &access);
        Ok(Self {
            store: config.store,
            rules: RwLock::new(Rules::new(&settings)),
            tunnels: TunnelRules {
                ports: access.connect_ports,
                places: TunnelPlaces::new(limits.max_tunnels),
                interceptor,
            },
            upstreams: Upstreams::new(guard, access.upstream_proxy, upstream_tls, &timeouts),
            bodies: BodyBuffers::new(config.spool, &limits, timeouts.body_stall),
            calls: Calls {
                in_flight: Arc::new(Semaphore::new(limits.max_in_flight)),
                waiters: Semaphore::new(limits.max_waiters),
                late: Arc::new(Semaphore::new(limits.max_late)),
                max_waiters: limits.max_waiters,
                deliveries: Arc::default(),
                mcp: McpServers::new(&config.mcp_trust),
            },
            lifecycle: Lifecycle::new(limits.max_connections),
            own: OwnPort { addresses: own, via, require_token: access.require_token },
            timeouts,
            observer: config.observer,
        })
    }

    /// The policy as it is now. One request reads it once and keeps it.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner).policy)
    }

    /// The routes as they are now.
    pub(crate) fn routes(&self) -> Arc<[Route]> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner).routes)
    }

    /// Treats requests by `settings` from here on.
    pub(crate) fn reload(&self, settings: &Settings) {
        let rules = Rules::new(settings);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Passes to `read` whether requests must carry their session's token, and how one is checked.
    pub(crate) fn with_tokens<T>(&self, read: impl FnOnce(SessionTokens<'_>) -> T) -> T {
        if !self.own.require_token {
            return read(SessionTokens::Ignored);
        }
        let check = |session: &str, token: &str| self.store.check_session_token(session, token);
        read(SessionTokens::Required(&check))
    }
}

impl ProxyContext {
    /// Whether the program of a run asks for the state API, whose address it finds in its environment.
    /// The API's own checks decide then. A client on another machine could not reach it without the
    /// proxy.
    pub(crate) fn leads_to_api(
        &self,
        link: &ClientLink,
        credentials: Option<&ProxyCredentials>,
        authority: &Authority,
    ) -> bool {
        self.upstreams.dialer.guard.is_api(authority)
            && credentials.is_some_and(ProxyCredentials::name_a_run)
            && link.slot.peer.is_of_this_machine()
    }
}

impl Rules {
    fn new(settings: &Settings) -> Self {
        Self { policy: Arc::new(Policy::new(settings)), routes: settings.routes.clone().into() }
    }
}

impl OwnPort {
    /// Whether `authority` names this proxy's own port.
    pub(crate) fn is(&self, authority: &Authority) -> bool {
        let OwnAddresses { proxy, confirm_base, .. } = &self.addresses;
        let named = || {
            let base = confirm_base.strip_prefix("http://");
            base.is_some_and(|base| base == authority.to_string())
        };
        let at_own = |ip| address_guard::is_own(proxy, ip, authority.port);
        proxy.iter().any(|own| own.port() == authority.port)
            && (address::literal(&authority.host).is_some_and(at_own) || named())
    }
}

impl TunnelRules {
    /// Refuses a port that tunnels may not lead to.
    pub(crate) fn check_port(&self, authority: &Authority) -> Result<(), Error> {
        if self.ports.is_empty() || self.ports.contains(&authority.port) {
            return Ok(());
        }
        let named: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        Err(Error::Refused(format!(
            "port not allowed for tunnels: {authority}; connect_ports allows {}",
            named.join(", ")
        )))
    }
}

impl Calls {
    /// How many duplicates wait for a running call.
    pub(crate) fn waiting(&self) -> usize {
        self.max_waiters.saturating_sub(self.waiters.available_permits())
    }
}
