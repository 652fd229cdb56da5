//! The state API: JSON-RPC 2.0 by POST on any path; health, metrics and the dashboard by GET.
//!
//! A request passes through [`guard`], which refuses callers that may not use the API, [`http`],
//! which reads the body, [`envelope`], which finds requests in it, [`dispatch`], which runs each
//! through the registry of jsonrpsee, and [`methods`], which decode params and call the store.
//! [`error`] describes what went wrong.

mod activity;
mod dispatch;
mod envelope;
mod error;
mod feed;
mod guard;
mod health;
mod http;
mod memory;
mod methods;
mod metrics;
mod openrpc;
mod pages;
mod params;
mod response;
mod sign_in;
#[cfg(test)]
mod typescript;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use prometheus_client::registry::Registry;
use store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use dispatch::Dispatcher;
use feed::Feed;
use guard::RequestGuard;
use memory::ApiMemory;
use sign_in::SignIns;

pub(crate) use error::Code;
pub(crate) use metrics::Metrics;
use metrics::ProxyCollector;

use crate::config::Token;

/// How the API is reached, and by whom.
#[derive(Debug, Clone)]
pub(crate) struct ApiSettings {
    /// The port of its listener; `127.0.0.1`, `localhost` and `[::1]` at this port are its names.
    pub(crate) port: u16,
    /// The address of its listener, unless it is one of those or stands for all addresses.
    pub(crate) address: Option<IpAddr>,
    /// Further names: `HOST` (at any port) or `HOST:PORT`.
    pub(crate) allow_hosts: Vec<String>,
    /// Origins whose pages may use it: `scheme://host[:port]`.
    pub(crate) allow_origins: Vec<String>,
    /// The bearer token that every call and `/metrics` need, if one is set.
    pub(crate) token: Option<Token>,
}

/// The state API over a store. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    store: Store,
    guard: Arc<RequestGuard>,
    dispatcher: Arc<Dispatcher>,
    registry: Arc<Registry>,
    feed: Arc<Feed>,
    sign_ins: Arc<SignIns>,
    memory: Arc<ApiMemory>,
    draining: CancellationToken,
    proxy: Arc<OnceLock<String>>,
    watched: Arc<OnceLock<proxy::Proxy>>,
    ca: Arc<OnceLock<String>>,
}

impl Api {
    pub(crate) fn new(store: Store, settings: ApiSettings) -> Self {
        let ApiSettings { port, address, allow_hosts, allow_origins, token } = settings;
        let (metrics, mut registry) = Metrics::new(Some(store.clone()));
        let watched = Arc::default();
        registry.register_collector(Box::new(ProxyCollector(Arc::clone(&watched))));
        // Who settles a doubt through this API: a caller with the token is the operator.
        let actor = if token.is_some() { "operator" } else { "api" };
        let (methods, writes) = methods::all(store.clone(), actor, metrics.clone());
        let draining = CancellationToken::new();
        Self {
            feed: Arc::new(Feed::new(store.clone(), draining.clone())),
            sign_ins: Arc::new(SignIns::new(store.clone())),
            store,
            guard: Arc::new(RequestGuard { port, address, allow_hosts, allow_origins, token }),
            dispatcher: Arc::new(Dispatcher {
                methods,
                writes,
                tasks: TaskTracker::new(),
                metrics,
            }),
            registry: Arc::new(registry),
            memory: Arc::default(),
            draining,
            proxy: Arc::default(),
            watched,
            ca: Arc::default(),
        }
    }

    /// The metrics, for the proxy.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.dispatcher.metrics
    }

    /// Sets the URL of the proxy for `/readyz`; call it once, before the API is served.
    pub(crate) fn set_proxy(&self, url: String) {
        self.proxy.get_or_init(|| url);
    }

    /// Adds the proxy to `/metrics`; call it once, before the API is served.
    pub(crate) fn watch(&self, proxy: proxy::Proxy) {
        self.watched.get_or_init(|| proxy);
    }

    /// The path of the dashboard: if a token is set, one that signs one browser in.
    pub(crate) fn dashboard(&self) -> String {
        if self.guard.token.is_none() {
            return "/".to_owned();
        }
        format!("/sign-in/{}", self.sign_ins.ticket())
    }

    /// Sets the certificate for `/ca.pem`; call it once, before the API is served.
    pub(crate) fn set_ca(&self, pem: String) {
        self.ca.get_or_init(|| pem);
    }

    /// Makes `/readyz` report that the engine is stopping, and ends the event streams.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }

    fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Resolves when no call that changes something is running. Call it once no connection can
    /// bring new calls.
    pub(crate) async fn drained(&self) {
        self.dispatcher.tasks.close();
        self.dispatcher.tasks.wait().await;
    }
}
