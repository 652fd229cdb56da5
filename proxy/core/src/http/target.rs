//! Where a request goes: scheme, authority, path and query.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::Ipv6Addr;

use http::uri;

use super::signatures::decoded;
use crate::error::Error;
use crate::http::address::canonical;

/// How an upstream is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Inside an intercepted tunnel, or by a route.
    Https,
}

impl Scheme {
    /// As a URL spells it, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port of an authority that names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A host and a port. Two that name the same host in different ways are equal.
#[derive(Debug, Clone)]
pub struct Authority {
    /// In its one form ([`canonical`]): in lower case, an IPv6 address in brackets.
    pub host: String,
    /// From 1 to 65535.
    pub port: u16,
    /// As the request writes the host, if that differs.
    written: Option<Box<str>>,
}

impl PartialEq for Authority {
    fn eq(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }
}

impl Eq for Authority {}

impl Hash for Authority {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.host, self.port).hash(state);
    }
}

impl Authority {
    /// `host` in lower case, an IPv6 address in brackets.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        match canonical(&host) {
            Some(one) => Self { host: one, port, written: Some(host.into()) },
            None => Self { host, port, written: None },
        }
    }

    /// The host as the request writes it, in lower case: for its Host field, and for the resolver,
    /// to which a last dot says that the name is complete.
    pub fn written_host(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.host)
    }

    /// Reads `host[:port]`. Refuses userinfo, an empty host, an invalid port, and brackets around
    /// anything but an IPv6 address. `default_port: None` refuses a missing port too.
    pub fn parse(text: &[u8], default_port: Option<u16>) -> Result<Self, Error> {
        let malformed =
            |what: &str| Error::Malformed(format!("{:?} {what}", String::from_utf8_lossy(text)));
        let whole =
            uri::Authority::try_from(text).map_err(|_| malformed("is not a host and port"))?;
        if whole.as_str().contains('@') {
            return Err(Error::Malformed("the target contains a user name or password".to_owned()));
        }
        let host = whole.host();
        let address = host.strip_prefix('[').map(|rest| rest.trim_end_matches(']'));
        if host.is_empty()
            || host.contains('%')
            || address.is_some_and(|address| address.parse::<Ipv6Addr>().is_err())
        {
            return Err(malformed("has no host"));
        }
        let port = match whole.as_str().get(host.len()..).map(|rest| rest.trim_start_matches(':')) {
            None | Some("") => default_port.ok_or_else(|| malformed("has no port"))?,
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| malformed("has no port between 1 and 65535"))?,
        };
        Ok(Self::new(host.to_ascii_lowercase(), port))
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The prefix of the paths on the proxy's own port that lead to an upstream.
pub const ROUTE_PREFIX: &str = "/to/";

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether the upstream is reached through TLS.
    pub scheme: Scheme,
    /// The upstream's host and port.
    pub authority: Authority,
    /// The bytes as they came. `*` for an OPTIONS request inside a tunnel.
    pub path_and_query: String,
}

impl Target {
    /// The path as the request writes it, without the query.
    pub fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }

    /// What follows the first `?`.
    pub fn query(&self) -> Option<&str> {
        self.path_and_query.split_once('?').map(|(_, query)| query)
    }

    /// Path and query without some parameters of the query, which are named as a server reads them.
    /// All other bytes stay as they came.
    pub(crate) fn without_parameters(&self, leaves_out: impl Fn(&str) -> bool) -> Cow<'_, str> {
        let whole = Cow::Borrowed(self.path_and_query.as_str());
        let Some(query) = self.query() else { return whole };
        let kept: Vec<&str> =
            query.split('&').filter(|pair| !leaves_out(&decoded(pair).0)).collect();
        if kept.len() == query.split('&').count() {
            return whole;
        }
        let mark = if kept.is_empty() { "" } else { "?" };
        format!("{}{mark}{}", self.path(), kept.join("&")).into()
    }

    /// Host and port, without the default port.
    pub fn host(&self) -> String {
        self.with_port(&self.authority.host)
    }

    /// The value of the Host header: the host as it was written, without the default port.
    pub fn host_field(&self) -> String {
        self.with_port(self.authority.written_host())
    }

    fn with_port(&self, host: &str) -> String {
        if self.authority.port == self.scheme.default_port() {
            host.to_owned()
        } else {
            format!("{host}:{}", self.authority.port)
        }
    }

    /// The whole URL, with its secrets. People get `masked_url`.
    #[cfg(test)]
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme.as_str(), self.host(), self.path_and_query)
    }
}
