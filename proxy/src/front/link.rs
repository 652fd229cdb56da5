//! What a request knows of the connection that it came by.

use std::sync::Arc;

use proxy_core::http::target::{Authority, Scheme};
use proxy_core::identity::metadata::ProxyCredentials;
use tokio::sync::OwnedSemaphorePermit;

use crate::front::turn::Turn;

/// What a request knows of the connection that it came by.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) turn: Arc<Turn>,
    /// The tunnel that the connection is inside of.
    pub(crate) inside: Option<Arc<Inside>>,
    /// Among the connections of all clients; held by what outlives the HTTP on it, too.
    pub(crate) slot: Slot,
}

/// What every request inside a tunnel inherits.
#[derive(Debug)]
pub(crate) struct Inside {
    /// The tunnel leads to the proxy itself: only the credentials are inherited.
    pub(crate) own: bool,
    /// `Https` where TLS with the client was ours.
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) credentials: Option<ProxyCredentials>,
}

/// One of the places for clients' connections.
pub(crate) type Slot = Arc<OwnedSemaphorePermit>;
