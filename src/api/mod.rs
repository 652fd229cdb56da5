//! The state API: JSON-RPC 2.0 by POST on any path, health and metrics by GET.
//!
//! The order of a request: [`guard`] refuses who may not ask, [`http`] reads the body, [`envelope`]
//! finds requests in it, [`dispatch`] runs each by jsonrpsee's registry, [`methods`] decode params
//! and ask the store, [`error`] says what went wrong.

mod dispatch;
mod envelope;
mod error;
mod guard;
mod health;
mod http;
mod methods;
mod metrics;
mod openrpc;
mod params;
#[cfg(test)]
mod typescript;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use prometheus_client::registry::Registry;
use store::Store;
use tokio_util::task::TaskTracker;

use dispatch::Dispatcher;
use guard::Guard;

pub(crate) use guard::Secret;
pub(crate) use metrics::Metrics;

/// How the API is reached.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The port that it listens on; `127.0.0.1`, `localhost` and `[::1]` at this port are its names.
    pub(crate) port: u16,
    /// Further names: `HOST` (at any port) or `HOST:PORT`.
    pub(crate) allow_hosts: Vec<String>,
    /// Origins whose pages may use it: `scheme://host[:port]`.
    pub(crate) allow_origins: Vec<String>,
    /// The bearer token that every call and `/metrics` need, where one is set.
    pub(crate) token: Option<Secret>,
}

/// The state API over a store. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    store: Store,
    guard: Arc<Guard>,
    dispatcher: Arc<Dispatcher>,
    registry: Arc<Registry>,
    draining: Arc<AtomicBool>,
    proxy: Arc<OnceLock<String>>,
}

impl Api {
    pub(crate) fn new(store: Store, settings: Settings) -> Self {
        let Settings { port, allow_hosts, allow_origins, token } = settings;
        let (metrics, registry) = Metrics::new(Some(store.clone()));
        // Who settles a doubt by this API: whoever shows the token is the operator.
        let actor = if token.is_some() { "operator" } else { "api" };
        let (methods, writes) = methods::all(store.clone(), actor);
        Self {
            store,
            guard: Arc::new(Guard { port, allow_hosts, allow_origins, token }),
            dispatcher: Arc::new(Dispatcher {
                methods,
                writes,
                tasks: TaskTracker::new(),
                metrics,
            }),
            registry: Arc::new(registry),
            draining: Arc::default(),
            proxy: Arc::default(),
        }
    }

    /// What the proxy counts into.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.dispatcher.metrics
    }

    /// Makes `/readyz` tell where the proxy listens; to be called once, before the API is served.
    pub(crate) fn set_proxy(&self, url: String) {
        self.proxy.get_or_init(|| url);
    }

    /// Makes `/readyz` say that the engine is stopping.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Resolves when nothing that changes something runs any more. To be called once no connection
    /// brings new calls.
    pub(crate) async fn drained(&self) {
        self.dispatcher.tasks.close();
        self.dispatcher.tasks.wait().await;
    }
}
