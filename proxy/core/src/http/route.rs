//! `/to/NAME/…` on the proxy's own port: upstreams for clients whose base URL can be set.
//!
//! A call by a route has the target that it would have in absolute form or through a tunnel, and so
//! the same key.

use std::fmt;

use http::HeaderMap;
use http::header::{HOST, HeaderName, ORIGIN};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use store_core::key::Digest;

use crate::error::Error;
use crate::http::target::{Authority, ROUTE_PREFIX, Scheme, Target};

/// The characters of a name and a token, in words.
const WORD: &str = "of a-z, A-Z, 0-9, -, _ and ., and must not begin with a dot";

/// One `[[route]]`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RouteSettings")]
pub struct Route {
    name: String,
    target: Target,
    token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteSettings {
    name: String,
    to: String,
    token: Option<String>,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Route {
    /// The name, as in the path.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl TryFrom<RouteSettings> for Route {
    type Error = String;

    fn try_from(settings: RouteSettings) -> Result<Self, String> {
        let is_word = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
                && !text.starts_with('.')
        };
        if !is_word(&settings.name) {
            return Err(format!("the route's `name` {:?} must be {WORD}", settings.name));
        }
        if settings.token.as_ref().is_some_and(|token| token.len() < 16 || !is_word(token)) {
            return Err(format!("the route's `token` must be 16 or more characters {WORD}"));
        }
        Ok(Self { target: upstream(&settings.to)?, name: settings.name, token: settings.token })
    }
}

/// Reads `http://host[:port][/base]` or `https://…`.
fn upstream(url: &str) -> Result<Target, String> {
    let bad = |why: &str| {
        format!("the route's `to` {url:?} {why}; write https://api.example.com or with a path")
    };
    let (scheme, rest) = if let Some(rest) = url.strip_prefix("https://") {
        (Scheme::Https, rest)
    } else if let Some(rest) = url.strip_prefix("http://") {
        (Scheme::Http, rest)
    } else {
        return Err(bad("is not an http or https URL"));
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if path.contains(['?', '#']) || authority.contains(['?', '#']) {
        return Err(bad("has a query or a fragment"));
    }
    if path.parse::<http::uri::PathAndQuery>().is_err() && !path.is_empty() {
        return Err(bad("has a path that cannot be sent"));
    }
    let authority = Authority::parse(authority.as_bytes(), Some(scheme.default_port()))
        .map_err(|error| bad(&format!("has no valid host: {error}")))?;
    Ok(Target { scheme, authority, path_and_query: path.trim_end_matches('/').to_owned() })
}

/// The upstream's target that `path_and_query` stands for. It begins with [`ROUTE_PREFIX`].
///
/// Refuses requests of web pages (any page may send a simple POST to this port), a name that no
/// route has, and a path that leaves the route's base.
pub fn resolve(
    routes: &[Route],
    path_and_query: &str,
    headers: &HeaderMap,
    own: &dyn Fn(&Authority) -> bool,
) -> Result<Target, Error> {
    check_no_page(headers, own)?;
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    let named = path.strip_prefix(ROUTE_PREFIX).unwrap_or_default();
    let (first, rest) = step(named);
    let (second, behind_second) = step(rest.strip_prefix('/').unwrap_or_default());
    let found = routes.iter().find_map(|route| match &route.token {
        Some(token) if route.name == second && is_token(token, first) => {
            Some((route, behind_second))
        }
        None if route.name == first => Some((route, rest)),
        _ => None,
    });
    let Some((route, rest)) = found else {
        return Err(Error::UnknownRoute(unknown(routes)));
    };
    if climbs(rest) {
        return Err(Error::Malformed("the path leaves its route".to_owned()));
    }
    let mut path_and_query = route.target.path_and_query.clone();
    path_and_query.push_str(rest);
    if path_and_query.is_empty() {
        path_and_query.push('/');
    }
    if let Some(query) = query {
        path_and_query.push('?');
        path_and_query.push_str(query);
    }
    Ok(Target { path_and_query, ..route.target.clone() })
}

/// Whether a server that decodes `path` would find a segment in it that leads up. Some servers
/// treat a backslash as a slash, and ignore what follows a semicolon.
fn climbs(path: &str) -> bool {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    decoded
        .split(|byte| matches!(byte, b'/' | b'\\'))
        .any(|segment| segment.split(|byte| *byte == b';').next() == Some(b"..".as_slice()))
}

/// Splits off the first segment. The rest keeps its slash.
fn step(path: &str) -> (&str, &str) {
    path.split_at(path.find('/').unwrap_or(path.len()))
}

/// Compares in a time that does not reveal where the two differ.
fn is_token(token: &str, text: &str) -> bool {
    Digest::of(token.as_bytes()) == Digest::of(text.as_bytes())
}

fn unknown(routes: &[Route]) -> String {
    let open: Vec<&str> = routes
        .iter()
        .filter(|route| route.token.is_none())
        .map(|route| route.name.as_str())
        .collect();
    let known = match (&open[..], routes.is_empty()) {
        (_, true) => "no routes are configured".to_owned(),
        ([], false) => "all configured routes need their token in the path".to_owned(),
        (open, false) => format!("there are {}", open.join(", ")),
    };
    format!("no route has this name: {known}")
}

/// Refuses requests of web pages: they carry the page's origin, or say that they come from another
/// site.
fn check_no_page(headers: &HeaderMap, own: &dyn Fn(&Authority) -> bool) -> Result<(), Error> {
    let refused = |what: &str| {
        Err(Error::Refused(format!("a route is not for web pages, and the request has {what}")))
    };
    let own_origin = |origin: &[u8]| {
        let authority = origin.strip_prefix(b"http://".as_slice());
        authority
            .and_then(|authority| Authority::parse(authority, Some(80)).ok())
            .is_some_and(|authority| own(&authority))
    };
    if headers.get_all(ORIGIN).iter().any(|origin| !own_origin(origin.as_bytes())) {
        return refused("an Origin that is not this port's");
    }
    let site = HeaderName::from_static("sec-fetch-site");
    let fine = |value: &[u8]| [b"none".as_slice(), b"same-origin"].contains(&value);
    if headers.get_all(site).iter().any(|value| !fine(value.as_bytes())) {
        return refused("a Sec-Fetch-Site of another site");
    }
    if headers.get_all(HOST).iter().count() > 1 {
        return refused("more than one Host");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
