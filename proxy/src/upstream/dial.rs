//! Connecting to upstreams, and where the proxy refuses to connect to.
//!
//! The guard looks at addresses after resolution, and the connection goes to the very address that
//! was looked at: a name cannot lead elsewhere between check and use.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proxy_core::error::{Error, Sent};
use proxy_core::http::address::bare;
use proxy_core::http::target::{Authority, Scheme};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use crate::upstream::egress_proxy::{self, Hop};
use crate::upstream::guard::{Guard, denied};

/// A stream to `authority` for TLS or whatever else is no clear HTTP: direct, or a tunnel through
/// the user's proxy. Every failure means that nothing was sent.
pub(crate) async fn dial(
    guard: &Guard,
    authority: &Authority,
    limit: Duration,
) -> Result<TcpStream, Error> {
    match guard.hop(Scheme::Https, authority) {
        Some(hop) => {
            let stream = direct(guard, hop.authority(), limit).await?;
            egress_proxy::open_tunnel(stream, hop, authority, limit).await
        }
        None => direct(guard, authority, limit).await,
    }
}

/// A stream for clear HTTP to `authority`, and the proxy that it leads to instead, which wants its
/// requests in absolute form. Every failure means that nothing was sent.
pub(crate) async fn dial_http(
    guard: &Guard,
    authority: &Authority,
    limit: Duration,
) -> Result<(TcpStream, Option<Arc<Hop>>), Error> {
    match guard.hop(Scheme::Http, authority) {
        Some(hop) => Ok((direct(guard, hop.authority(), limit).await?, Some(Arc::clone(hop)))),
        None => Ok((direct(guard, authority, limit).await?, None)),
    }
}

/// Resolves and connects within `limit` in all. Every failure means that nothing was sent.
pub(crate) async fn direct(
    guard: &Guard,
    authority: &Authority,
    limit: Duration,
) -> Result<TcpStream, Error> {
    let deadline = Instant::now() + limit;
    let allowed = resolve(guard, authority, limit).await?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (n, address) in allowed.iter().enumerate() {
        // What is left is context, so that an address that swallows packets does not use it all up.
        let share = deadline.saturating_duration_since(Instant::now()) / (allowed.len() - n) as u32;
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
    guard: &Guard,
    authority: &Authority,
    limit: Duration,
) -> Result<Vec<SocketAddr>, Error> {
    let found = match timeout(limit, lookup_host((bare(&authority.host), authority.port))).await {
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
    let (mut allowed, mut refused) = (Vec::new(), None);
    for address in found {
        match guard.refusal(address) {
            None => allowed.push(address),
            Some(why) => refused = Some(why),
        }
    }
    match (allowed.is_empty(), refused) {
        (false, _) => Ok(allowed),
        (true, Some(why)) => Err(denied(authority, why)),
        (true, None) => {
            let detail = format!("{} has no address", authority.host);
            Err(Error::Upstream { detail, sent: Sent::Never })
        }
    }
}
