//! The next proxy on the way out, where the user has one: what is sent goes through it.
//!
//! Clear HTTP goes to it in absolute form, since many proxies allow CONNECT to 443 alone; tunnels go
//! through it by CONNECT. It resolves names, so that only addresses can be guarded here.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;
use proxy_core::error::{Error, Sent};
use proxy_core::http::address;
use proxy_core::http::target::Authority;
use proxy_core::http::target::Scheme;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest head of an answer to our CONNECT, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// One proxy: `http://[USER:PASSWORD@]HOST:PORT`.
#[derive(Clone, PartialEq, Eq)]
pub struct Hop {
    authority: Authority,
    authorization: Option<HeaderValue>,
}

impl Hop {
    /// Its host and port, without credentials.
    pub fn address(&self) -> String {
        self.authority.to_string()
    }

    /// Whether it is asked with a password or the like.
    pub fn has_credentials(&self) -> bool {
        self.authorization.is_some()
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Its credentials, as a field value that is marked as sensitive.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Without its credentials.
impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

impl FromStr for Hop {
    type Err = String;

    /// Reads a URL, or `HOST:PORT` as most programs take it. Refuses other schemes than `http`: TLS
    /// or SOCKS towards a proxy is not spoken here. The text of a refusal holds no credentials.
    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(format!(
                "a proxy is reached by http:// only, not by {scheme}://; name one with \
                 --upstream-proxy http://HOST:PORT, or go without one by --upstream-proxy none"
            ));
        }
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user_info, authority) = match rest.rsplit_once('@') {
            Some((user_info, authority)) => (Some(user_info), authority),
            None => (None, rest),
        };
        let authority = Authority::parse(authority.as_bytes(), Some(80))
            .map_err(|_| "a proxy is written as http://[USER:PASSWORD@]HOST:PORT".to_owned())?;
        let authorization = user_info.map(basic).transpose()?;
        Ok(Self { authority, authorization })
    }
}

fn basic(user_info: &str) -> Result<HeaderValue, String> {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let mut pair: Vec<u8> = percent_decode_str(user).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(password));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair)))
        .map_err(|_| "the proxy's credentials cannot be sent".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Which calls go through which proxy.
#[derive(Clone)]
pub struct Chain {
    http: Option<Arc<Hop>>,
    tunnel: Option<Arc<Hop>>,
    /// Tells only whether a host is exempt; its own proxy is never used.
    exempt: Arc<Matcher>,
}

impl Chain {
    /// `http` for clear HTTP, `tunnel` for all else. `no_proxy` exempts hosts, in the form of the
    /// variable of that name (hosts with their subdomains, addresses, CIDR blocks, `*`); the
    /// loopback is always reached directly, for what a remote proxy calls so is another machine.
    pub fn new(http: Option<Hop>, tunnel: Option<Hop>, no_proxy: &str) -> Self {
        let exempt = Matcher::builder().all("http://proxy.invalid").no(no_proxy).build();
        Self { http: http.map(Arc::new), tunnel: tunnel.map(Arc::new), exempt: Arc::new(exempt) }
    }

    /// The same proxies with the same credentials; which calls go through them may differ.
    #[must_use]
    pub fn has_hops_of(&self, other: &Self) -> bool {
        (&self.http, &self.tunnel) == (&other.http, &other.tunnel)
    }

    /// The proxy towards `authority`; `None`: it is reached directly.
    pub(crate) fn hop(&self, scheme: Scheme, authority: &Authority) -> Option<&Arc<Hop>> {
        let hop = match scheme {
            Scheme::Http => &self.http,
            Scheme::Https => &self.tunnel,
        };
        hop.as_ref().filter(|_| !self.is_exempt(authority))
    }

    fn is_exempt(&self, authority: &Authority) -> bool {
        let loopback = address::literal(&authority.host).is_some_and(|ip| ip.is_loopback());
        let uri: Option<Uri> = format!("http://{authority}/").parse().ok();
        loopback || uri.is_none_or(|uri| self.exempt.intercept(&uri).is_none())
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http {:?}, tunnel {:?}", self.http, self.tunnel)
    }
}

/// Asks `hop`, which `stream` leads to, for a tunnel to `authority`. Every failure means that nothing
/// was sent there.
pub(crate) async fn open_tunnel(
    mut stream: TcpStream,
    hop: &Hop,
    authority: &Authority,
    limit: Duration,
) -> Result<TcpStream, Error> {
    match timeout(limit, ask(&mut stream, hop, authority)).await {
        Ok(Ok(())) => Ok(stream),
        Ok(Err(why)) => {
            let detail =
                format!("the upstream proxy {hop:?} opens no tunnel to {authority}: {why}");
            Err(Error::Upstream { detail, sent: Sent::Never })
        }
        Err(_) => {
            let detail = format!("the upstream proxy {hop:?} does not answer");
            Err(Error::UpstreamTimeout { detail, sent: Sent::Never })
        }
    }
}

async fn ask(stream: &mut TcpStream, hop: &Hop, authority: &Authority) -> Result<(), String> {
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(authorization) = &hop.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await.map_err(|error| error.to_string())?;
    let head = read_head(stream).await?;
    let status = head.split(|byte| *byte == b'\n').next().map(String::from_utf8_lossy);
    let status = status.as_deref().unwrap_or_default().trim_end();
    match status.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)) {
        Some(code) if code.starts_with('2') => Ok(()),
        Some("407") => Err("it wants other credentials: http://USER:PASSWORD@HOST:PORT".to_owned()),
        Some(code) => Err(format!("it answers {code}")),
        None => Err("it does not speak HTTP".to_owned()),
    }
}

/// Takes the answer's head and not a byte of what follows it, which is the tunnel's.
async fn read_head(stream: &mut TcpStream) -> Result<Vec<u8>, String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return Err("it closes the connection".to_owned()),
        }
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(text: &str) -> Result<String, String> {
        text.parse::<Hop>().map(|hop| hop.address())
    }

    #[test]
    fn proxies_as_people_write_them() {
        for good in ["http://proxy:3128", "HTTP://proxy:3128/", "proxy:3128", "u:p@proxy:3128"] {
            assert_eq!(hop(good).unwrap(), "proxy:3128", "{good}");
        }
        assert_eq!(hop("http://[::1]").unwrap(), "[::1]:80");
        for bad in ["", "http://", "https://proxy", "socks5h://proxy:1080", "http://a b"] {
            assert!(hop(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let hop: Hop = "http://ann:p%40ss%3a@proxy:1".parse().unwrap();
        let sent = hop.authorization().unwrap();
        assert_eq!(sent, &format!("Basic {}", BASE64_STANDARD.encode("ann:p@ss:")));
        assert!(sent.is_sensitive());
        assert_eq!(format!("{hop:?}"), "http://proxy:1");
        let refused = "socks5://ann:hunter2@proxy:1".parse::<Hop>().unwrap_err();
        assert!(!refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn exempt_hosts_are_reached_directly() {
        let proxy = || Some("proxy:1".parse().unwrap());
        let chain = Chain::new(proxy(), None, "corp.example, .internal,10.0.0.0/8,192.0.2.7");
        let through = |host: &str| {
            let authority = Authority::parse(host.as_bytes(), Some(80)).unwrap();
            chain.hop(Scheme::Http, &authority).is_some()
        };
        for direct in [
            "corp.example",
            "api.corp.example",
            "a.internal",
            "10.1.2.3",
            "192.0.2.7",
            "localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
        ] {
            assert!(!through(direct), "{direct}");
        }
        for far in ["example.com", "notcorp.example", "192.0.2.8", "11.0.0.1"] {
            assert!(through(far), "{far}");
            let authority = Authority::parse(far.as_bytes(), Some(443)).unwrap();
            assert_eq!(chain.hop(Scheme::Https, &authority), None, "none is named for tunnels");
        }
        let all = Chain::new(proxy(), proxy(), "*");
        let authority = Authority::parse(b"example.com", Some(80)).unwrap();
        assert_eq!(all.hop(Scheme::Http, &authority), None);
    }
}
