//! Connecting to upstreams, and where the proxy refuses to connect to.
//!
//! The guard looks at addresses after resolution, and the connection goes to the very address that
//! was looked at: a name cannot lead elsewhere between check and use.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use crate::chain::{self, Chain, Hop};
use crate::error::{Error, Sent};
use crate::request::{Authority, Scheme};

/// AWS's instance metadata over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
/// Google Cloud's.
const METADATA_GOOGLE_V6: Ipv6Addr = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);
/// Alibaba Cloud's instance metadata.
const METADATA_ALIBABA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
/// Oracle Cloud's instance metadata.
const METADATA_ORACLE: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 192);

/// The addresses that nobody may reach through the proxy, and by which way all others are reached.
#[derive(Debug)]
pub(crate) struct Guard {
    own: Vec<SocketAddr>,
    chain: Option<Chain>,
    loopback: bool,
    private: bool,
}

impl Guard {
    /// `own`: where the engine itself listens; `chain`: the user's own proxy; `loopback`, `private`:
    /// refuse these ranges too.
    pub(crate) fn new(
        own: Vec<SocketAddr>,
        chain: Option<Chain>,
        loopback: bool,
        private: bool,
    ) -> Self {
        Self { own, chain, loopback, private }
    }

    fn hop(&self, scheme: Scheme, authority: &Authority) -> Option<&Arc<Hop>> {
        self.chain.as_ref().and_then(|chain| chain.hop(scheme, authority))
    }

    /// Refuses a host that is an address nobody may reach, before anything is recorded of it.
    /// (Names are looked at when they are resolved.)
    pub(crate) fn check_literal(&self, authority: &Authority) -> Result<(), Error> {
        let host = bare(&authority.host).trim_end_matches('.');
        let address = host.parse().ok().or_else(|| old_ipv4(host).map(IpAddr::V4));
        let why = address.and_then(|ip| self.refusal(SocketAddr::new(ip, authority.port)));
        why.map_or(Ok(()), |why| Err(denied(authority, why)))
    }

    /// Why `address` is refused, if it is.
    pub(crate) fn refusal(&self, address: SocketAddr) -> Option<&'static str> {
        let ip = plain(address.ip());
        if is_own(&self.own, ip, address.port()) {
            return Some("one of the engine's own ports");
        }
        let link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        if link_local {
            return Some("a link-local address, where cloud metadata services are");
        }
        let metadata = match ip {
            IpAddr::V4(ip) => ip == METADATA_ALIBABA || ip == METADATA_ORACLE,
            IpAddr::V6(ip) => ip == METADATA_V6 || ip == METADATA_GOOGLE_V6,
        };
        if metadata {
            return Some("a cloud metadata service");
        }
        if self.loopback && (ip.is_loopback() || ip.is_unspecified() || is_of_this_machine(ip)) {
            return Some("on this machine (refuse_loopback)");
        }
        (self.private && is_private(ip)).then_some("in a private network (refuse_private)")
    }
}

/// RFC 1918, RFC 6598, RFC 4193.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || matches!(ip.octets(), [100, 64..=127, ..]),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

fn denied(authority: &Authority, why: &str) -> Error {
    Error::Refused(format!("{authority} is {why}; the proxy does not connect there"))
}

/// An IPv4 address in IPv6 clothes (mapped, compatible, NAT64) as itself.
fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    if v6.is_loopback() || v6.is_unspecified() {
        return ip;
    }
    match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)).into()
        }
        _ => ip,
    }
}

/// Does (`ip`, `port`) lead to one of `listeners` on this machine, as far as can be told. The
/// unspecified address leads to the loopback.
pub(crate) fn is_own(listeners: &[SocketAddr], ip: IpAddr, port: u16) -> bool {
    if !listeners.iter().any(|own| own.port() == port) {
        return false;
    }
    let ip = plain(ip);
    ip.is_loopback() || ip.is_unspecified() || is_of_this_machine(ip)
}

/// Only an address of this machine can be bound.
fn is_of_this_machine(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// `host` as an address, if it is one (or `localhost`).
pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    bare(host).parse().ok()
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// An IPv4 address as resolvers have always read it (`inet_aton`): one to four numbers, in decimal,
/// octal or hexadecimal, of which the last fills what is left. Another proxy's resolver does so too.
fn old_ipv4(host: &str) -> Option<Ipv4Addr> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None if text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    };
    let numbers = host.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (last, first) = numbers.split_last()?;
    let room = 32_u32.checked_sub(8 * first.len() as u32).filter(|bits| *bits > 0)?;
    if first.iter().any(|byte| *byte > 255) || u64::from(*last) >> room > 0 {
        return None;
    }
    let high = first.iter().zip([24, 16, 8]).map(|(byte, bits)| byte << bits).sum::<u32>();
    Some(Ipv4Addr::from(high | last))
}

/// A stream to `authority` for TLS or whatever else is no clear HTTP: direct, or a tunnel through
/// the user's proxy. Every failure means that nothing was sent.
pub(crate) async fn dial(
    guard: &Guard,
    authority: &Authority,
    limit: Duration,
) -> Result<TcpStream, Error> {
    match guard.hop(Scheme::Https, authority) {
        Some(hop) => chain::tunnel(guard, hop, authority, limit).await,
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
        // What is left is shared, so that an address that swallows packets does not use it all up.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_ports_and_metadata_are_refused_in_every_spelling() {
        let guard = Guard::new(vec!["127.0.0.1:3030".parse().unwrap()], None, false, false);
        for refused in [
            "127.0.0.1:3030",
            "127.9.9.9:3030",
            "0.0.0.0:3030",
            "[::1]:3030",
            "[::]:3030",
            "[::ffff:127.0.0.1]:3030",
            "[::ffff:0.0.0.0]:3030",
            "169.254.169.254:80",
            "[::ffff:169.254.169.254]:80",
            "[64:ff9b::a9fe:a9fe]:80",
            "[::a9fe:a9fe]:80",
            "[fe80::1]:80",
            "[fd00:ec2::254]:80",
            "[fd20:ce::254]:80",
            "100.100.100.200:80",
        ] {
            assert!(guard.refusal(refused.parse().unwrap()).is_some(), "{refused}");
        }
        for allowed in
            ["127.0.0.1:80", "10.0.0.1:3030", "[::1]:80", "192.0.2.1:3030", "[fd00::1]:80"]
        {
            assert_eq!(guard.refusal(allowed.parse().unwrap()), None, "{allowed}");
        }
    }

    /// Where another proxy resolves, a host must be known for an address however it is written.
    #[test]
    fn literals_are_refused_in_every_spelling() {
        let guard = Guard::new(Vec::new(), None, false, false);
        let check = |host: &str| {
            guard.check_literal(&Authority { host: host.to_owned(), port: 443 }).is_err()
        };
        for refused in [
            "169.254.169.254",
            "169.254.169.254.",
            "[::ffff:169.254.169.254]",
            "2852039166",
            "0xa9fea9fe",
            "0xa9.254.0251.0376",
            "169.254.43518",
            "169.16689662",
        ] {
            assert!(check(refused), "{refused}");
        }
        for allowed in
            ["192.0.2.1", "example.com", "169.254.169.254.example", "1.2.3.4.5", "4294967296", ""]
        {
            assert!(!check(allowed), "{allowed}");
        }
    }

    #[test]
    fn this_machine_and_private_networks_are_refused_where_they_are_to_be() {
        let refused = |loopback, private, address: &str| {
            Guard::new(Vec::new(), None, loopback, private)
                .refusal(address.parse().unwrap())
                .is_some()
        };
        for address in ["127.0.0.1:80", "[::1]:80", "0.0.0.0:80", "[::ffff:127.0.0.1]:80"] {
            assert!(refused(true, false, address) && !refused(false, true, address), "{address}");
        }
        for address in ["10.0.0.1:80", "192.168.1.1:80", "172.16.0.1:80", "100.64.0.1:80"] {
            assert!(refused(false, true, address) && !refused(false, false, address), "{address}");
        }
        assert!(refused(false, true, "[fd00::1]:80") && !refused(true, true, "192.0.2.1:80"));
    }
}
