//! The proxy as its program sees it.

use std::sync::Arc;

use proxy_core::policy::pointers::UnmatchedPointer;
use proxy_core::settings::Settings;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::context::ProxyContext;
use crate::error::SetupError;
use crate::explain::pointers;
use crate::front::listener;

/// The proxy. Clone is cheap.
#[derive(Debug, Clone)]
pub struct Proxy(Arc<ProxyContext>);

impl Proxy {
    /// A proxy that is not listening yet. Refuses a certificate file that cannot be used, and a CA
    /// that may not sign for all intercepted hosts.
    pub fn new(config: Config) -> Result<Self, SetupError> {
        Ok(Self(Arc::new(ProxyContext::new(config)?)))
    }

    /// The certificate, in PEM, that clients of intercepted hosts must trust. `None`: no host is
    /// intercepted.
    pub fn ca_pem(&self) -> Option<&str> {
        self.0.tunnels.interceptor.as_ref().map(|interceptor| interceptor.ca().pem())
    }

    /// Serves until `shutdown`, then drains: no new connections, and up to `timeouts.drain` for
    /// running calls. Guarded calls that still run after that are left in doubt for the next start.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) {
        listener::serve(Arc::clone(&self.0), listener, shutdown).await;
    }

    /// Treats requests by `settings` from here on. Requests that were decided before go on as they
    /// were. No connection ends.
    pub fn reload(&self, settings: &Settings) {
        self.0.reload(settings);
    }

    /// The pointers of the rules that match nothing in the newest recorded calls. Blocks.
    pub fn unmatched_pointers(&self) -> Result<Vec<UnmatchedPointer>, store::Error> {
        pointers::unmatched(self.0.store.reader(), &self.0.policy(), None)
    }

    /// How many duplicates wait for a running call.
    pub fn waiting(&self) -> usize {
        self.0.calls.waiting()
    }
}
