//! Decides who may use the API: Host, Origin, Sec-Fetch-Site, bearer token, media type.
//!
//! A page in a browser can send requests to the loopback. It cannot forge `Host` (so a rebound name
//! is detected), `Origin` or `Sec-Fetch-Site`, and cannot send `application/json` without a
//! preflight.

use std::net::IpAddr;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::Authority;

use super::error::{Code, Error};
use crate::config::Token;

const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The hosts, origins and token that are allowed.
#[derive(Debug, Clone)]
pub(crate) struct RequestGuard {
    /// The port that the API listens on.
    pub(crate) port: u16,
    /// The address, unless it is a usual loopback address or stands for all addresses. A page
    /// cannot be rebound to an IP address.
    pub(crate) address: Option<IpAddr>,
    /// `HOST` (at any port) or `HOST:PORT`.
    pub(crate) allow_hosts: Vec<String>,
    /// `scheme://host[:port]`.
    pub(crate) allow_origins: Vec<String>,
    pub(crate) token: Option<Token>,
}

impl RequestGuard {
    /// Refuses a request for a different host. `target` is the authority of a target in absolute
    /// form, which wins over `Host` (RFC 9112, 3.2.2), so both must be ours.
    pub(crate) fn check_host(
        &self,
        headers: &HeaderMap,
        target: Option<&Authority>,
    ) -> Result<(), Error> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(Ok(host)), None) = (hosts.next().map(HeaderValue::to_str), hosts.next()) else {
            return Err(foreign_host("exactly one Host header is required"));
        };
        let ours = self.is_our_host(host) && target.is_none_or(|t| self.is_our_host(t.as_str()));
        if ours {
            return Ok(());
        }
        Err(foreign_host(&format!(
            "host not allowed: use 127.0.0.1:{}, or add it with --allow-host",
            self.port
        )))
    }

    fn is_our_host(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if host.contains('@') {
            return false;
        }
        let name = authority.host();
        let port = authority.port_u16();
        let own = LOOPBACK.iter().any(|own| own.eq_ignore_ascii_case(name))
            || self.address.is_some_and(|address| name == in_url(address));
        (own && port.unwrap_or(80) == self.port)
            || self.allow_hosts.iter().any(|allowed| {
                allowed.eq_ignore_ascii_case(host) || allowed.eq_ignore_ascii_case(name)
            })
    }

    /// Refuses requests from a page of a different origin. Returns the origin if `--allow-origin`
    /// allows it: the answer must say that this page may read it.
    pub(crate) fn check_origin(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Error> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => {}
            (Some(_), Some(_)) => return Err(foreign_origin("more than one Origin header")),
            (Some(origin), None) => {
                let text = origin.to_str().unwrap_or_default();
                if self.allow_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(text)) {
                    return Ok(Some(origin.clone()));
                }
                if !self.is_our_origin(text) {
                    return Err(foreign_origin("origin not allowed"));
                }
            }
        }
        for site in headers.get_all(SEC_FETCH_SITE) {
            if site != "same-origin" && site != "none" {
                return Err(foreign_origin("pages of other sites are not allowed"));
            }
        }
        Ok(None)
    }

    fn is_our_origin(&self, origin: &str) -> bool {
        origin.strip_prefix("http://").is_some_and(|host| {
            let address = self.address.map(in_url);
            LOOPBACK.iter().copied().chain(address.as_deref()).any(|own| match self.port {
                80 => host == own,
                port => host.strip_prefix(own) == Some(&format!(":{port}")),
            })
        })
    }

    /// Refuses a request without the bearer token, if one is set.
    pub(crate) fn check_token(&self, headers: &HeaderMap) -> Result<(), Error> {
        let Some(token) = &self.token else { return Ok(()) };
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        if let (Some(value), None) = (values.next(), values.next())
            && let Some((scheme, candidate)) = value.as_bytes().split_at_checked(7)
            && scheme.eq_ignore_ascii_case(b"bearer ")
            && token.matches(candidate.trim_ascii())
        {
            return Ok(());
        }
        Err(Error::new(
            Code::Unauthorized,
            "token required: send the header Authorization: Bearer TOKEN",
        ))
    }
}

/// The address as in a URL.
fn in_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Refuses any body except `application/json`, whatever its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Result<(), Error> {
    let refuse = |message| Err(Error::new(Code::MediaType, message));
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let json = match (types.next().map(HeaderValue::to_str), types.next()) {
        (Some(Ok(value)), None) => {
            let essence = value.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json")
        }
        _ => false,
    };
    if !json {
        return refuse("send the body with the header Content-Type: application/json");
    }
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            refuse("send the body without Content-Encoding")
        }
        _ => Ok(()),
    }
}

fn foreign_host(message: &str) -> Error {
    Error::new(Code::ForeignHost, message)
}

fn foreign_origin(message: &str) -> Error {
    Error::new(Code::ForeignOrigin, format!("{message}: add it with --allow-origin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> RequestGuard {
        RequestGuard {
            address: None,
            port: 3030,
            allow_hosts: vec!["engine.internal".to_owned(), "box:99".to_owned()],
            allow_origins: vec!["https://app.example".to_owned()],
            token: None,
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn hosts() {
        let table = [
            ("127.0.0.1:3030", true),
            ("LocalHost:3030", true),
            ("[::1]:3030", true),
            ("engine.internal", true),
            ("engine.internal:8080", true),
            ("BOX:99", true),
            ("box:98", false),
            ("box", false),
            ("127.0.0.1", false),
            ("127.0.0.1:3031", false),
            ("127.0.0.2:3030", false),
            ("evil.example:3030", false),
            ("localhost.evil.example:3030", false),
            ("evil@127.0.0.1:3030", false),
            ("127.0.0.1:3030 x", false),
            ("", false),
        ];
        for (host, ours) in table {
            let checked = guard().check_host(&headers(&[("host", host)]), None);
            assert_eq!(checked.is_ok(), ours, "{host}");
        }
        let twice = headers(&[("host", "127.0.0.1:3030"), ("host", "127.0.0.1:3030")]);
        assert!(guard().check_host(&twice, None).is_err());
        assert!(guard().check_host(&HeaderMap::new(), None).is_err());
        let own = headers(&[("host", "127.0.0.1:3030")]);
        assert!(guard().check_host(&own, Some(&"evil.example".parse().unwrap())).is_err());
        assert!(guard().check_host(&own, Some(&"localhost:3030".parse().unwrap())).is_ok());
        for (address, host) in [("127.0.0.2", "127.0.0.2:3030"), ("fd00::1", "[fd00::1]:3030")] {
            let bound = RequestGuard { address: Some(address.parse().unwrap()), ..guard() };
            assert!(bound.check_host(&headers(&[("host", host)]), None).is_ok(), "{host}");
            assert!(bound.check_host(&headers(&[("host", "127.0.0.3:3030")]), None).is_err());
            let page = format!("http://{host}");
            assert!(bound.check_origin(&headers(&[("origin", &page)])).is_ok(), "{page}");
        }
        let standard = RequestGuard { port: 80, ..guard() };
        assert!(standard.check_host(&headers(&[("host", "localhost")]), None).is_ok());
    }

    #[test]
    fn origins() {
        /// The headers, and the origin that is allowed; `None` if refused.
        type Row = (&'static [(&'static str, &'static str)], Option<Option<&'static str>>);
        let table: [Row; 12] = [
            (&[], Some(None)),
            (&[("origin", "http://127.0.0.1:3030")], Some(None)),
            (&[("origin", "http://localhost:3030"), ("sec-fetch-site", "same-origin")], Some(None)),
            (&[("sec-fetch-site", "none")], Some(None)),
            (&[("origin", "https://app.example")], Some(Some("https://app.example"))),
            (
                &[("origin", "https://app.example"), ("sec-fetch-site", "cross-site")],
                Some(Some("https://app.example")),
            ),
            (&[("origin", "null")], None),
            (&[("origin", "http://127.0.0.1:3031")], None),
            (&[("origin", "https://127.0.0.1:3030")], None),
            (&[("origin", "http://evil.example")], None),
            (&[("sec-fetch-site", "cross-site")], None),
            (&[("sec-fetch-site", "none"), ("sec-fetch-site", "same-site")], None),
        ];
        for (pairs, expected) in table {
            let got = guard().check_origin(&headers(pairs)).ok();
            let got = got.as_ref().map(|o| o.as_ref().map(|v| v.to_str().unwrap()));
            assert_eq!(got, expected, "{pairs:?}");
        }
        let twice = headers(&[("origin", "http://127.0.0.1:3030"), ("origin", "null")]);
        assert!(guard().check_origin(&twice).is_err());
    }

    #[test]
    fn tokens() {
        let guard = RequestGuard { token: Some("s3cret".parse().unwrap()), ..guard() };
        let table = [
            ("Bearer s3cret", true),
            ("bearer  s3cret", true),
            ("Bearer s3cre", false),
            ("Bearer s3crets", false),
            ("Basic s3cret", false),
            ("Bearer", false),
            ("", false),
        ];
        for (value, ok) in table {
            assert_eq!(
                guard.check_token(&headers(&[("authorization", value)])).is_ok(),
                ok,
                "{value}"
            );
        }
        assert!(guard.check_token(&HeaderMap::new()).is_err());
        let twice =
            headers(&[("authorization", "Bearer s3cret"), ("authorization", "Bearer s3cret")]);
        assert!(guard.check_token(&twice).is_err());
        assert_eq!(format!("{:?}", guard.token), "Some([redacted])");
    }

    #[test]
    fn media_types() {
        let table = [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/json ;version=1;x=\"y\"", true),
            ("application/json-rpc", false),
            ("text/plain", false),
            ("application/jsonx", false),
            ("", false),
        ];
        for (value, ok) in table {
            assert_eq!(media_type(&headers(&[("content-type", value)])).is_ok(), ok, "{value}");
        }
        assert!(media_type(&HeaderMap::new()).is_err());
        let packed = headers(&[("content-type", "application/json"), ("content-encoding", "gzip")]);
        assert!(media_type(&packed).is_err());
    }
}
