//! What a request knows about its connection.

use std::sync::Arc;

use proxy_core::http::target::{Authority, Scheme};
use proxy_core::identity::credentials::ProxyCredentials;
use tokio::sync::OwnedSemaphorePermit;

use super::peer::Peer;
use super::turn::Turn;
use crate::upstream::private::PrivateConnections;

/// A client's connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct ClientLink {
    pub(crate) turn: Arc<Turn>,
    /// The tunnel that the connection is inside of.
    pub(crate) tunnel: Option<Arc<Tunnel>>,
    /// Counts the connection. Also held by what outlives the HTTP on it.
    pub(crate) slot: Arc<ConnectionSlot>,
    /// The connections to upstreams that are this client's own.
    pub(crate) private: Arc<PrivateConnections>,
}

/// A tunnel that HTTP is spoken inside.
#[derive(Debug)]
pub(crate) enum Tunnel {
    /// It leads to the proxy itself. Its requests inherit the credentials only.
    ToProxy(Option<ProxyCredentials>),
    /// It leads to an upstream.
    ToUpstream(TunnelTarget),
}

/// What every request inside a tunnel to an upstream inherits.
#[derive(Debug)]
pub(crate) struct TunnelTarget {
    /// `Https` if the engine ended the client's TLS.
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) credentials: Option<ProxyCredentials>,
}

/// A client's TCP connection: the permit to have it open, and what is known about its other end.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    pub(crate) peer: Peer,
    pub(crate) _permit: OwnedSemaphorePermit,
}

impl ClientLink {
    /// The credentials that the tunnel's CONNECT carried.
    pub(crate) fn credentials(&self) -> Option<&ProxyCredentials> {
        match self.tunnel.as_deref()? {
            Tunnel::ToProxy(credentials) => credentials.as_ref(),
            Tunnel::ToUpstream(target) => target.credentials.as_ref(),
        }
    }

    /// Where the tunnel leads, if it leads to an upstream.
    pub(crate) fn tunnel_target(&self) -> Option<&TunnelTarget> {
        match self.tunnel.as_deref()? {
            Tunnel::ToProxy(_) => None,
            Tunnel::ToUpstream(target) => Some(target),
        }
    }
}
