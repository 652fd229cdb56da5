//! The header fields that pass on to the next hop.

use http::Method;
use http::header::{self, HeaderMap, HeaderValue};

use crate::http::own_fields::{OURS_IN_ANSWERS, OURS_IN_REQUESTS};
use crate::http::target::Target;

/// Fields that belong to one connection (RFC 9110, 7.6.1), now or in earlier versions of HTTP.
pub(crate) const HOP_BY_HOP: &[&str] = &[
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-authentication-info",
    "proxy-support",
];

/// Fields that stay even if `Connection` names them: without them the message would mean something
/// else.
const PROTECTED: &[&str] = &[
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "content-range",
    "authorization",
    "cookie",
    "set-cookie",
    "location",
    "retry-after",
    "date",
    "via",
    "idempotency-key",
];

/// Removes what must not reach the upstream: hop-by-hop fields, those that `Connection` names,
/// the engine's own, `Expect` (the body is spooled by then). `TE` keeps the word `trailers`.
///
/// [`set_host`] sets the host.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    let trailers = headers
        .get_all(header::TE)
        .iter()
        .any(|value| tokens(value).any(|coding| coding.eq_ignore_ascii_case("trailers")));
    let named = named_by_connection(headers);
    remove_where(headers, |name| {
        is_hop_by_hop(name, &named) || name == "expect" || OURS_IN_REQUESTS.contains(&name)
    });
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.append(header::CONNECTION, HeaderValue::from_static("te"));
    }
}

/// Removes what must not reach the client: hop-by-hop fields, those that `Connection` names, fields
/// that only the engine may set, and a length that a transfer coding overrides (RFC 9112, 6.3). A
/// length that is repeated becomes one.
pub fn strip_response(headers: &mut HeaderMap) {
    let named = named_by_connection(headers);
    let coded = headers.contains_key(header::TRANSFER_ENCODING);
    remove_where(headers, |name| {
        is_hop_by_hop(name, &named)
            || OURS_IN_ANSWERS.contains(&name)
            || coded && name == "content-length"
    });
    join_lengths(headers);
}

/// Makes a list of equal lengths one (RFC 9110, 8.6). hyper has refused unequal ones.
fn join_lengths(headers: &mut HeaderMap) {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return };
    if lengths.next().is_none() && first.as_bytes().iter().all(u8::is_ascii_digit) {
        return;
    }
    let length = tokens(first).next().map(HeaderValue::from_str);
    if let Some(Ok(length)) = length {
        headers.insert(header::CONTENT_LENGTH, length);
    }
}

/// The fields that `Connection` names, in lower case.
fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .chain(headers.get_all("proxy-connection"))
        .flat_map(tokens)
        .map(str::to_ascii_lowercase)
        .filter(|name| !PROTECTED.contains(&name.as_str()))
        .collect()
}

fn is_hop_by_hop(name: &str, named: &[String]) -> bool {
    HOP_BY_HOP.contains(&name) || named.iter().any(|other| other == name)
}

/// Removes fields and keeps the order of the others. (`HeaderMap::remove` moves the last field into
/// the gap.)
pub fn remove_where(headers: &mut HeaderMap, removes: impl Fn(&str) -> bool) {
    if !headers.keys().any(|name| removes(name.as_str())) {
        return;
    }
    let mut left = HeaderMap::with_capacity(headers.keys_len());
    let mut field = None;
    for (name, value) in headers.drain() {
        // An entry without a name is one more value of the field before.
        if let Some(name) = name {
            field = (!removes(name.as_str())).then_some(name);
        }
        if let Some(name) = &field {
            left.append(name, value);
        }
    }
    *headers = left;
}

/// The words of a comma-separated value. None if it is not text.
pub(crate) fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|token| !token.is_empty())
}

/// Sets Host to that of the target, whatever the client sent.
pub fn set_host(headers: &mut HeaderMap, target: &Target) {
    // An authority is a valid field value: it was read from one, or from a URI.
    if let Ok(host) = HeaderValue::try_from(target.host_field()) {
        headers.insert(header::HOST, host);
    }
}

/// Joins the Cookie fields that HTTP/2 may split one into (RFC 9113, 8.2.3), so that a call has the
/// same principal by either version.
pub fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<_> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(mut whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        whole.set_sensitive(true);
        headers.insert(header::COOKIE, whole);
    }
}

/// Whether this proxy has handled the message before.
pub fn via_has(headers: &HeaderMap, id: &str) -> bool {
    headers.get_all(header::VIA).iter().flat_map(tokens).any(|hop| {
        hop.split_ascii_whitespace().nth(1).is_some_and(|by| by.eq_ignore_ascii_case(id))
    })
}

/// Appends a hop to `Via`.
pub fn add_via(headers: &mut HeaderMap, hop: &HeaderValue) {
    headers.append(header::VIA, hop.clone());
}

/// The protocols that a GET asks to switch to, as they may be passed on: never h2c. `None`: the
/// request is handled as if it did not ask.
pub fn upgrade_of(method: &Method, headers: &HeaderMap) -> Option<HeaderValue> {
    let upgrades = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(tokens)
        .any(|token| token.eq_ignore_ascii_case("upgrade"));
    if method != Method::GET || !upgrades {
        return None;
    }
    let protocols: Vec<&str> = headers
        .get_all(header::UPGRADE)
        .iter()
        .flat_map(tokens)
        .filter(|protocol| !["h2c", "h2"].iter().any(|no| protocol.eq_ignore_ascii_case(no)))
        .collect();
    if protocols.is_empty() {
        return None;
    }
    HeaderValue::try_from(protocols.join(", ")).ok()
}

#[cfg(test)]
mod tests;
