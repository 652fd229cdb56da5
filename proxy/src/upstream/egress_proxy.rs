//! The user's own proxy on the way out.
//!
//! Clear HTTP goes to it in absolute form, since many proxies allow CONNECT to port 443 only.
//! Tunnels go through it by CONNECT. It resolves names itself, so that only addresses can be
//! guarded here.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;
use proxy_core::error::Error;
use proxy_core::http::address;
use proxy_core::http::target::Authority;
use proxy_core::http::target::Scheme;
use store::call::Sent;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest head of an answer to our CONNECT, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// One proxy: `http://[USER:PASSWORD@]HOST:PORT`.
#[derive(Clone, PartialEq, Eq)]
pub struct EgressProxy {
    authority: Authority,
    authorization: Option<HeaderValue>,
}

impl EgressProxy {
    /// Host and port, without credentials.
    pub fn address(&self) -> String {
        self.authority.to_string()
    }

    /// Whether requests to it carry credentials.
    pub fn has_credentials(&self) -> bool {
        self.authorization.is_some()
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The credentials, as a field value that is marked as sensitive.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

impl fmt::Debug for EgressProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Without credentials.
impl fmt::Display for EgressProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

impl FromStr for EgressProxy {
    type Err = String;

    /// Reads a URL, or `HOST:PORT` as most programs take it. Refuses schemes other than `http`: the
    /// engine speaks neither TLS nor SOCKS to a proxy. The message holds no credentials.
    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(format!(
                "the upstream proxy must be http://, not {scheme}://: use \
                 --upstream-proxy http://HOST:PORT, or --upstream-proxy none"
            ));
        }
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user_info, authority) = match rest.rsplit_once('@') {
            Some((user_info, authority)) => (Some(user_info), authority),
            None => (None, rest),
        };
        let authority = Authority::parse(authority.as_bytes(), Some(80)).map_err(|_| {
            "the upstream proxy must be http://[USER:PASSWORD@]HOST:PORT".to_owned()
        })?;
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
pub struct EgressProxies {
    http: Option<Arc<EgressProxy>>,
    tunnel: Option<Arc<EgressProxy>>,
    /// Says only whether a host is exempt. Its own proxy is never used.
    exempt: Arc<Matcher>,
}

impl EgressProxies {
    /// `http` for clear HTTP, `tunnel` for all else. `no_proxy` exempts hosts, in the form of the
    /// variable of that name (hosts with their subdomains, addresses, CIDR blocks, `*`). The
    /// loopback is always reached directly: to a remote proxy it is another machine.
    pub fn new(http: Option<EgressProxy>, tunnel: Option<EgressProxy>, no_proxy: &str) -> Self {
        let exempt = Matcher::builder().all("http://proxy.invalid").no(no_proxy).build();
        Self { http: http.map(Arc::new), tunnel: tunnel.map(Arc::new), exempt: Arc::new(exempt) }
    }

    /// Whether both have the same proxies with the same credentials. The exempt hosts may differ.
    #[must_use]
    pub fn has_hops_of(&self, other: &Self) -> bool {
        (&self.http, &self.tunnel) == (&other.http, &other.tunnel)
    }

    /// The proxy towards `authority`. `None`: it is reached directly.
    pub(crate) fn towards(
        &self,
        scheme: Scheme,
        authority: &Authority,
    ) -> Option<&Arc<EgressProxy>> {
        let proxy = match scheme {
            Scheme::Http => &self.http,
            Scheme::Https => &self.tunnel,
        };
        proxy.as_ref().filter(|_| !self.is_exempt(authority))
    }

    fn is_exempt(&self, authority: &Authority) -> bool {
        let loopback = address::literal(&authority.host).is_some_and(|ip| ip.is_loopback());
        let uri: Option<Uri> = format!("http://{authority}/").parse().ok();
        loopback || uri.is_none_or(|uri| self.exempt.intercept(&uri).is_none())
    }
}

impl fmt::Debug for EgressProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http {:?}, tunnel {:?}", self.http, self.tunnel)
    }
}

/// Asks `proxy`, which `stream` leads to, for a tunnel to `authority`. Every failure means that
/// nothing was sent to it.
pub(crate) async fn open_tunnel(
    mut stream: TcpStream,
    proxy: &EgressProxy,
    authority: &Authority,
    limit: Duration,
) -> Result<TcpStream, Error> {
    match timeout(limit, request_tunnel(&mut stream, proxy, authority)).await {
        Ok(Ok(())) => Ok(stream),
        Ok(Err(why)) => {
            let detail =
                format!("the upstream proxy {proxy:?} refused a tunnel to {authority}: {why}");
            Err(Error::Upstream { detail, sent: Sent::Never })
        }
        Err(_) => {
            let detail = format!("the upstream proxy {proxy:?} did not answer");
            Err(Error::UpstreamTimeout { detail, sent: Sent::Never })
        }
    }
}

async fn request_tunnel(
    stream: &mut TcpStream,
    proxy: &EgressProxy,
    authority: &Authority,
) -> Result<(), String> {
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
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
        Some("407") => {
            Err("it rejected the credentials: use http://USER:PASSWORD@HOST:PORT".to_owned())
        }
        Some(code) => Err(format!("it answered {code}")),
        None => Err("it does not speak HTTP".to_owned()),
    }
}

/// Reads the answer's head and not a byte of what follows it, which belongs to the tunnel.
async fn read_head(stream: &mut TcpStream) -> Result<Vec<u8>, String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return Err("it closed the connection".to_owned()),
        }
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(text: &str) -> Result<String, String> {
        text.parse::<EgressProxy>().map(|proxy| proxy.address())
    }

    #[test]
    fn proxies_as_people_write_them() {
        for good in ["http://proxy:3128", "HTTP://proxy:3128/", "proxy:3128", "u:p@proxy:3128"] {
            assert_eq!(proxy(good).unwrap(), "proxy:3128", "{good}");
        }
        assert_eq!(proxy("http://[::1]").unwrap(), "[::1]:80");
        for bad in ["", "http://", "https://proxy", "socks5h://proxy:1080", "http://a b"] {
            assert!(proxy(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let proxy: EgressProxy = "http://ann:p%40ss%3a@proxy:1".parse().unwrap();
        let sent = proxy.authorization().unwrap();
        assert_eq!(sent, &format!("Basic {}", BASE64_STANDARD.encode("ann:p@ss:")));
        assert!(sent.is_sensitive());
        assert_eq!(format!("{proxy:?}"), "http://proxy:1");
        let refused = "socks5://ann:hunter2@proxy:1".parse::<EgressProxy>().unwrap_err();
        assert!(!refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn exempt_hosts_are_reached_directly() {
        let proxy = || Some("proxy:1".parse().unwrap());
        let proxies =
            EgressProxies::new(proxy(), None, "corp.example, .internal,10.0.0.0/8,192.0.2.7");
        let through = |host: &str| {
            let authority = Authority::parse(host.as_bytes(), Some(80)).unwrap();
            proxies.towards(Scheme::Http, &authority).is_some()
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
            assert_eq!(
                proxies.towards(Scheme::Https, &authority),
                None,
                "none is named for tunnels"
            );
        }
        let all = EgressProxies::new(proxy(), proxy(), "*");
        let authority = Authority::parse(b"example.com", Some(80)).unwrap();
        assert_eq!(all.towards(Scheme::Http, &authority), None);
    }
}
