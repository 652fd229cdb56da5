//! Where the proxy refuses to connect to.
//!
//! Addresses are checked after resolution, and the connection goes to the very address that was
//! checked: a name cannot lead elsewhere between check and use.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use proxy_core::error::Error;
use proxy_core::http::address::{embedded, plain, without_brackets};
use proxy_core::http::target::Authority;

use super::metadata_services::is_metadata;
use crate::config::Access;

/// The addresses that nobody may reach through the proxy.
#[derive(Debug)]
pub(crate) struct AddressGuard {
    own: Vec<SocketAddr>,
    api: Vec<SocketAddr>,
    loopback: bool,
    private: bool,
}

impl AddressGuard {
    /// `proxy`, `api`: where the engine itself listens. `access` says which ranges are refused too.
    pub(crate) fn new(proxy: &[SocketAddr], api: &[SocketAddr], access: &Access) -> Self {
        Self {
            own: [proxy, api].concat(),
            api: api.to_vec(),
            loopback: access.refuse_loopback,
            private: access.refuse_private,
        }
    }

    /// Whether an authority is the address of the state API, as `STATE_ENGINE_URL` names it. A host
    /// name never is: a page could have chosen where it leads.
    pub(crate) fn is_api(&self, authority: &Authority) -> bool {
        let Ok(ip) = without_brackets(&authority.host).parse().map(plain) else { return false };
        self.api.iter().any(|api| {
            let listens = plain(api.ip());
            let same = listens == ip || listens.is_unspecified() && ip.is_loopback();
            same && api.port() == authority.port
        })
    }

    /// Whether nothing on this machine may be reached.
    pub(crate) fn refuses_loopback(&self) -> bool {
        self.loopback
    }

    /// Refuses a host that is an address nobody may reach.
    pub(super) fn check_literal(&self, authority: &Authority) -> Result<(), Error> {
        let address = without_brackets(&authority.host).parse().ok();
        let why = address.and_then(|ip| self.refusal(SocketAddr::new(ip, authority.port)));
        why.map_or(Ok(()), |why| Err(refused(authority, why)))
    }

    /// Why `address` is refused even to those who may reach this machine, if it is.
    pub(super) fn refusal_of_own(&self, address: SocketAddr) -> Option<&'static str> {
        is_own(&self.own, address.ip(), address.port()).then_some("one of the engine's own ports")
    }

    /// Why `address` is refused, if it is.
    pub(crate) fn refusal(&self, address: SocketAddr) -> Option<&'static str> {
        if let Some(why) = self.refusal_of_own(address) {
            return Some(why);
        }
        let ip = plain(address.ip());
        // What a translator or a tunnel on the way would connect to counts too.
        let within = match address.ip() {
            IpAddr::V4(_) => Vec::new(),
            IpAddr::V6(ip) => embedded(ip),
        };
        self.refusal_of(ip).or_else(|| {
            within.into_iter().find_map(|ip| {
                let nowhere = ip.is_unspecified().then_some("an unspecified address");
                nowhere.or_else(|| self.refusal_of(ip.into()))
            })
        })
    }

    fn refusal_of(&self, ip: IpAddr) -> Option<&'static str> {
        let (link_local, broadcast) = match ip {
            IpAddr::V4(ip) => (ip.is_link_local(), ip.is_broadcast()),
            IpAddr::V6(ip) => (ip.is_unicast_link_local(), false),
        };
        if link_local {
            return Some("a link-local address, where cloud metadata services are");
        }
        if is_metadata(ip) {
            return Some("a cloud metadata service");
        }
        if broadcast || ip.is_multicast() {
            return Some("a broadcast or multicast address");
        }
        if self.loopback && (ip.is_loopback() || ip.is_unspecified() || is_of_this_machine(ip)) {
            return Some("on this machine (refuse_loopback)");
        }
        (self.private && is_private(ip)).then_some("in a private network (refuse_private)")
    }
}

/// Whether an address is private (RFC 1918, RFC 6598, RFC 4193).
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || matches!(ip.octets(), [100, 64..=127, ..]),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

pub(super) fn refused(authority: &Authority, why: &str) -> Error {
    Error::Refused(format!("{authority} is {why}; the proxy does not connect there"))
}

/// Whether (`ip`, `port`) leads to one of `listeners` on this machine, as far as can be found out.
/// The unspecified address leads to the loopback.
pub(crate) fn is_own(listeners: &[SocketAddr], ip: IpAddr, port: u16) -> bool {
    if !listeners.iter().any(|own| own.port() == port) {
        return false;
    }
    let ip = plain(ip);
    ip.is_loopback() || ip.is_unspecified() || is_of_this_machine(ip)
}

/// Whether an address belongs to this machine: only such an address can be bound.
fn is_of_this_machine(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_ports_and_metadata_are_refused_in_every_spelling() {
        let guard =
            AddressGuard::new(&["127.0.0.1:3030".parse().unwrap()], &[], &Access::default());
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
            "192.0.0.192:80",
            "168.63.129.16:32526",
            "[fd00:ec2::23]:80",
            "[fd00:42::42]:80",
        ] {
            assert!(guard.refusal(refused.parse().unwrap()).is_some(), "{refused}");
        }
        for allowed in
            ["127.0.0.1:80", "10.0.0.1:3030", "[::1]:80", "192.0.2.1:3030", "[fd00::1]:80"]
        {
            assert_eq!(guard.refusal(allowed.parse().unwrap()), None, "{allowed}");
        }
    }

    #[test]
    fn only_its_very_address_is_the_apis() {
        let is_api = |listens: &str, host: &str, port| {
            let api = [listens.parse().unwrap()];
            AddressGuard::new(&[], &api, &Access::default()).is_api(&Authority::new(host, port))
        };
        for (listens, host) in [
            ("127.0.0.1:3030", "127.0.0.1"),
            ("0.0.0.0:3030", "127.0.0.1"),
            ("[::1]:3030", "[::1]"),
            ("[::]:3030", "[::1]"),
            ("10.0.0.1:3030", "10.0.0.1"),
        ] {
            assert!(is_api(listens, host, 3030), "{host}");
            assert!(!is_api(listens, host, 3031), "{host}");
        }
        for host in ["localhost", "127.0.0.2", "0.0.0.0", "[::1]", "evil.example", "10.0.0.1", ""] {
            assert!(!is_api("127.0.0.1:3030", host, 3030), "{host}");
        }
    }

    /// If another proxy resolves, an address must be recognised however it is written.
    #[test]
    fn literals_are_refused_in_every_spelling() {
        let guard = AddressGuard::new(&[], &[], &Access::default());
        let check = |host: &str| guard.check_literal(&Authority::new(host, 443)).is_err();
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

    /// An IPv4 address in every form that leads there over IPv6.
    fn forms(address: &str) -> Vec<String> {
        let octets: Vec<u16> = address.split('.').map(|octet| octet.parse().unwrap()).collect();
        let (high, low) = (octets[0] << 8 | octets[1], octets[2] << 8 | octets[3]);
        vec![
            format!("[::ffff:{address}]:80"),
            format!("[::ffff:0:{address}]:80"),
            format!("[64:ff9b::{address}]:80"),
            format!("[64:ff9b:1::{address}]:80"),
            format!("[64:ff9b:1:{high:x}:{:x}:{:x}::]:80", low >> 8, (low & 0xff) << 8),
            format!("[2002:{high:x}:{low:x}::1]:80"),
            format!("[2001:0:{high:x}:{low:x}::1]:80"),
            format!("[2001:0:c000:201:0:0:{:x}:{:x}]:80", !high, !low),
            format!("[2001:db8::5efe:{address}]:80"),
        ]
    }

    #[test]
    fn an_embedded_address_counts_as_itself() {
        let guard = |loopback, private| {
            let access =
                Access { refuse_loopback: loopback, refuse_private: private, ..Access::default() };
            AddressGuard::new(&[], &[], &access)
        };
        let refuses =
            |guard: &AddressGuard, form: &str| guard.refusal(form.parse().unwrap()).is_some();
        for address in
            ["169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "224.0.0.251"]
        {
            for form in forms(address) {
                assert!(refuses(&guard(false, false), &form), "{address}: {form}");
            }
        }
        for form in forms("127.0.0.1") {
            assert!(refuses(&guard(true, false), &form), "{form}");
            assert!(!refuses(&guard(false, true), &form), "{form}");
        }
        for form in forms("10.1.2.3") {
            assert!(refuses(&guard(false, true), &form), "{form}");
            assert!(!refuses(&guard(false, false), &form), "{form}");
        }
        for form in forms("198.51.100.7") {
            assert!(!refuses(&guard(true, true), &form), "{form}");
        }
        for form in ["[2002::1]:80", "[64:ff9b::]:80", "255.255.255.255:9", "[ff02::1]:80"] {
            assert!(refuses(&guard(false, false), form), "{form}");
        }
    }

    #[test]
    fn this_machine_and_private_networks_are_refused_where_they_are_to_be() {
        let refused = |loopback, private, address: &str| {
            let access =
                Access { refuse_loopback: loopback, refuse_private: private, ..Access::default() };
            AddressGuard::new(&[], &[], &access).refusal(address.parse().unwrap()).is_some()
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
