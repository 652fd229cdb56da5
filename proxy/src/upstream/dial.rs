//! Connections to upstreams, directly or through the user's own proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proxy_core::error::Error;
use proxy_core::http::address::without_brackets;
use proxy_core::http::target::{Authority, Scheme};
use store::call::Sent;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::address_guard::{AddressGuard, refused};
use super::egress_proxy::{self, EgressProxies, EgressProxy};
use super::metadata_services::is_metadata_name;

/// Opens connections. Every failure means that nothing of a request was sent.
#[derive(Debug)]
pub(crate) struct Dialer {
    pub(crate) guard: AddressGuard,
    proxies: Option<EgressProxies>,
    /// The time for resolving and connecting, in all.
    limit: Duration,
}

/// Why an address is refused, if it is.
type Refusal<'a> = dyn Fn(SocketAddr) -> Option<&'static str> + Sync + 'a;

impl Dialer {
    /// `proxies`: the user's own. `limit`: how long one connection may take.
    pub(super) fn new(
        guard: AddressGuard,
        proxies: Option<EgressProxies>,
        limit: Duration,
    ) -> Self {
        Self { guard, proxies, limit }
    }

    /// Refuses a host that is an address nobody may reach, before anything is recorded of it. Names are
    /// checked when they are resolved. The user's proxy resolves them itself: what leads to it must not
    /// be a known name of a metadata service.
    pub(crate) fn check(&self, scheme: Scheme, authority: &Authority) -> Result<(), Error> {
        self.guard.check_literal(authority)?;
        if self.proxy(scheme, authority).is_some() && is_metadata_name(&authority.host) {
            return Err(refused(authority, "a cloud metadata service"));
        }
        Ok(())
    }

    fn proxy(&self, scheme: Scheme, authority: &Authority) -> Option<&Arc<EgressProxy>> {
        let proxies = self.proxies.as_ref().filter(|_| !self.guard.is_api(authority));
        proxies.and_then(|proxies| proxies.towards(scheme, authority))
    }

    /// A stream to `authority` for TLS or anything else that is not clear HTTP: direct, or a tunnel
    /// through the user's proxy.
    pub(crate) async fn tunnel(&self, authority: &Authority) -> Result<TcpStream, Error> {
        match self.proxy(Scheme::Https, authority) {
            Some(proxy) => {
                let stream = self.direct(proxy.authority()).await?;
                egress_proxy::open_tunnel(stream, proxy, authority, self.limit).await
            }
            None => self.direct(authority).await,
        }
    }

    /// A stream for clear HTTP to `authority`. With a proxy: the stream leads there, and the proxy
    /// takes requests in absolute form.
    pub(super) async fn http(
        &self,
        authority: &Authority,
    ) -> Result<(TcpStream, Option<Arc<EgressProxy>>), Error> {
        match self.proxy(Scheme::Http, authority) {
            Some(proxy) => Ok((self.direct(proxy.authority()).await?, Some(Arc::clone(proxy)))),
            None => Ok((self.direct(authority).await?, None)),
        }
    }

    /// A stream to the wrapper of a server on stdio, at a port of the loopback.
    pub(super) async fn wrapper(&self, port: u16) -> Result<TcpStream, Error> {
        let refusal = |address| self.guard.refusal_of_own(address);
        self.connect(&Authority::new("127.0.0.1", port), &refusal).await
    }

    /// Resolves and connects. Who may reach the state API was checked before.
    pub(super) async fn direct(&self, authority: &Authority) -> Result<TcpStream, Error> {
        let to_api = self.guard.is_api(authority);
        let refusal = |address| self.guard.refusal(address).filter(|_| !to_api);
        self.connect(authority, &refusal).await
    }

    async fn connect(
        &self,
        authority: &Authority,
        refusal: &Refusal<'_>,
    ) -> Result<TcpStream, Error> {
        let deadline = Instant::now() + self.limit;
        let allowed = self.resolve(authority, refusal).await?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for (n, address) in allowed.iter().enumerate() {
            // The addresses share the time left, so that one that drops packets does not use it up.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / (allowed.len() - n) as u32;
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        let detail = format!("could not connect to {authority}: {last}");
        Err(match last.kind() {
            io::ErrorKind::TimedOut => Error::UpstreamTimeout { detail, sent: Sent::Never },
            _ => Error::Upstream { detail, sent: Sent::Never },
        })
    }

    async fn resolve(
        &self,
        authority: &Authority,
        refusal: &Refusal<'_>,
    ) -> Result<Vec<SocketAddr>, Error> {
        let host = match &*authority.host {
            // Not every resolver knows it with a dot at its end (RFC 6761, 6.3).
            "localhost" => "localhost",
            _ => without_brackets(authority.written_host()),
        };
        let found = match timeout(self.limit, lookup_host((host, authority.port))).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                let detail = format!("could not resolve {}: {error}", authority.host);
                return Err(Error::Upstream { detail, sent: Sent::Never });
            }
            Err(_) => {
                let detail = format!("could not resolve {} in time", authority.host);
                return Err(Error::UpstreamTimeout { detail, sent: Sent::Never });
            }
        };
        let (mut allowed, mut why) = (Vec::new(), None);
        for address in found {
            match refusal(address) {
                None => allowed.push(address),
                refused => why = refused,
            }
        }
        match (allowed.is_empty(), why) {
            (false, _) => Ok(allowed),
            (true, Some(why)) => Err(refused(authority, why)),
            (true, None) => {
                let detail = format!("{} has no address", authority.host);
                Err(Error::Upstream { detail, sent: Sent::Never })
            }
        }
    }
}
