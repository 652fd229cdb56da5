//! The hosts that a setting applies to: one name, all names under one, or an address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::http::address::canonical;
use crate::http::target::Authority;

/// `HOST`, `*.HOST` (one or more labels in front of it, and not `HOST` itself), or an address (IPv6
/// in brackets), each with `:PORT` for one port only. Case does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPattern {
    host: HostName,
    port: Option<u16>,
}

/// What a [`HostPattern`] says of the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostName {
    /// This name, in lower case.
    Exact(String),
    /// Every name that ends in a dot and this name, in lower case.
    Under(String),
    /// This address, however it is written.
    Address(IpAddr),
}

impl HostPattern {
    /// The hosts.
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// The port. `None`: all ports.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether the pattern matches. Does not allocate.
    pub fn matches(&self, authority: &Authority) -> bool {
        self.port.is_none_or(|port| port == authority.port) && self.host.is(&authority.host)
    }
}

impl HostName {
    /// Whether the name matches. `host` is in its one form.
    fn is(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => host == exact,
            Self::Under(parent) => host
                .strip_suffix(parent.as_str())
                .and_then(|labels| labels.strip_suffix('.'))
                .is_some_and(|labels| !labels.is_empty()),
            Self::Address(address) => address_of(host) == Some(*address),
        }
    }
}

/// A host as an address, if it is one. IPv6 is in brackets.
fn address_of(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok().filter(IpAddr::is_ipv4),
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("{text:?} {why}; write HOST, *.HOST or HOST:PORT");
        if text.contains("://") {
            return Err(bad("is a URL, not a host"));
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(format!("{text:?} is an IPv6 address: write it in brackets, [{text}]"));
        }
        if !text.is_ascii() {
            return Err(bad("is not an ASCII name (international names are written xn--…)"));
        }
        let after_brackets = text.rfind(']').map_or(0, |end| end + 1);
        let (host, port) = match text[after_brackets..].find(':') {
            Some(colon) => {
                let (host, port) = text.split_at(after_brackets + colon);
                (host, Some(port_of(&port[1..]).ok_or_else(|| bad("has no valid port"))?))
            }
            None => (text, None),
        };
        let host = host.to_ascii_lowercase();
        let one = canonical(&host).filter(|_| !host.ends_with('.'));
        let host = host_of(&one.unwrap_or(host)).ok_or_else(|| bad("has no host"))?;
        Ok(Self { host, port })
    }
}

impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parsed(from)
    }
}

/// Deserializes a text by its `FromStr`.
pub fn parsed<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

fn port_of(digits: &str) -> Option<u16> {
    let digits = digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits)?;
    digits.parse().ok().filter(|port| *port > 0)
}

fn host_of(host: &str) -> Option<HostName> {
    if let Some(address) = address_of(host) {
        return Some(HostName::Address(address));
    }
    match host.strip_prefix("*.") {
        // No name is under an address.
        Some(parent) => (is_name(parent) && parent.parse::<IpAddr>().is_err())
            .then(|| HostName::Under(parent.to_owned())),
        None => is_name(host).then(|| HostName::Exact(host.to_owned())),
    }
}

/// Labels of letters, digits, `-` and `_`, with single dots between them.
fn is_name(host: &str) -> bool {
    host.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    })
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostName::Exact(name) => f.write_str(name)?,
            HostName::Under(parent) => write!(f, "*.{parent}")?,
            HostName::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            HostName::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    fn matches(text: &str, host: &str, port: u16) -> bool {
        pattern(text).matches(&Authority::new(host, port))
    }

    #[test]
    fn a_name_is_itself_alone() {
        assert!(matches("API.example.com", "api.example.com", 443));
        assert!(matches("api.example.com", "api.example.com.", 443));
        assert!(!matches("example.com", "api.example.com", 443));
        assert!(!matches("example.com", "notexample.com", 443));
        assert!(!matches("example.com", "example.com.evil", 443));
        assert!(matches("localhost:11434", "localhost", 11434));
        assert!(!matches("localhost:11434", "localhost", 80));
    }

    #[test]
    fn a_star_is_one_or_more_labels() {
        assert!(matches("*.example.com", "a.example.com", 443));
        assert!(matches("*.example.com", "a.b.example.com", 80));
        assert!(!matches("*.example.com", "example.com", 443));
        assert!(!matches("*.example.com", ".example.com", 443));
        assert!(!matches("*.example.com", "aexample.com", 443));
        assert!(!matches("*.example.com:8443", "a.example.com", 443));
    }

    #[test]
    fn an_address_is_one_however_it_is_written() {
        assert!(matches("127.0.0.1", "127.0.0.1", 1));
        assert!(!matches("127.0.0.1", "localhost", 1));
        assert!(matches("[0:0::1]:80", "[::1]", 80));
        assert!(matches("[::1]", "[0::0:1]", 80));
        assert!(matches("127.1", "127.0.0.1", 80));
        assert!(matches("127.0.0.1", "0x7f000001", 80));
        assert!(!matches("[::1]", "127.0.0.1", 80));
    }

    #[test]
    fn what_is_written_is_shown() {
        for text in ["localhost", "127.0.0.1:11434", "[::1]:80", "[::1]", "*.a.b", "*.a_b.c:99"] {
            assert_eq!(pattern(text).to_string(), text);
        }
        assert_eq!(pattern("*.EXAMPLE.Com").to_string(), "*.example.com");
    }

    #[test]
    fn a_refused_pattern_gets_an_example_of_a_right_one() {
        for bad in [
            "",
            "*",
            "*.",
            "a.*",
            "*a.b",
            "a..b",
            ".a",
            "a.",
            ":80",
            "a:",
            "a:b",
            "a:0",
            "a:+1",
            "a:99999",
            "a@b",
            "a/b",
            "a b",
            "[a]",
            "[::1",
            "*.127.0.0.1",
            "[127.0.0.1]",
            "a:1:2",
        ] {
            let error = bad.parse::<HostPattern>().unwrap_err();
            assert!(error.contains("write HOST"), "{bad}: {error}");
        }
        assert!("::1".parse::<HostPattern>().unwrap_err().contains("brackets, [::1]"));
        assert!("https://a".parse::<HostPattern>().unwrap_err().contains("URL"));
        assert!("münchen.de".parse::<HostPattern>().unwrap_err().contains("xn--"));
    }
}
