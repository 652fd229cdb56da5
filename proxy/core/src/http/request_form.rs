//! The target of a request, and its framing.

use http::header::{CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Version, uri};

use crate::error::Error;
use crate::http::target::{Authority, ROUTE_PREFIX, Scheme, Target};
use crate::http::written;

/// What a request's target names (RFC 9112, 3.2).
#[derive(Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// An upstream.
    Forward(Target),
    /// The proxy itself: in origin form, or `/confirm/` or a route at the proxy's own address in
    /// any form.
    Own {
        /// The path and query at the proxy's own port.
        path_and_query: String,
    },
    /// The end of a tunnel (CONNECT).
    Tunnel(Authority),
    /// The proxy as a whole (`OPTIONS *`).
    Options,
}

/// Reads a request's target. `inside` is what the tunnel's CONNECT named, if the request came
/// through one. `own` says whether an authority is the proxy's own address.
///
/// Refuses what hyper lets through: userinfo, two Hosts, `https://` and other schemes in absolute
/// form, a CONNECT without a port. A Host that is not the tunnel's, or not ours, is misdirected.
pub fn read_target(
    parts: &Parts,
    inside: Option<(&Scheme, &Authority)>,
    own: &dyn Fn(&Authority) -> bool,
) -> Result<TargetForm, Error> {
    if parts.headers.get_all(HOST).iter().count() > 1 {
        return Err(Error::Malformed("the request has more than one Host header".to_owned()));
    }
    if parts.method == Method::TRACE {
        return Err(Error::Unsupported("TRACE is not passed on".to_owned()));
    }
    if parts.method == Method::CONNECT {
        return connect(parts, inside.is_some());
    }
    if parts.version == Version::HTTP_2
        && let (Some(host), Some((scheme, tunnel))) = (parts.headers.get(HOST), inside)
    {
        // It must equal `:authority` (RFC 9113, 8.3.1).
        same_host(&Authority::parse(host.as_bytes(), Some(scheme.default_port()))?, tunnel)?;
    }
    let form = match (parts.uri.scheme(), parts.uri.authority()) {
        (Some(scheme), Some(authority)) => {
            let path_and_query = path_and_query(parts)?;
            TargetForm::Forward(Target { path_and_query, ..absolute(scheme, authority, inside)? })
        }
        (None, None) => origin(parts, inside, own)?,
        _ => {
            return Err(Error::Malformed("only CONNECT names a host without a scheme".to_owned()));
        }
    };
    Ok(match form {
        TargetForm::Forward(target)
            if target.scheme == Scheme::Http
                && ["/confirm/", ROUTE_PREFIX].iter().any(|own| target.path().starts_with(own))
                && own(&target.authority) =>
        {
            TargetForm::Own { path_and_query: target.path_and_query }
        }
        other => other,
    })
}

fn connect(parts: &Parts, inside: bool) -> Result<TargetForm, Error> {
    if inside {
        return Err(Error::Unsupported("a tunnel cannot contain another tunnel".to_owned()));
    }
    match (parts.uri.scheme(), parts.uri.authority(), parts.uri.path_and_query()) {
        (None, Some(authority), None) => {
            Authority::parse(authority.as_str().as_bytes(), None).map(TargetForm::Tunnel)
        }
        _ => Err(Error::Malformed("CONNECT takes a host and a port".to_owned())),
    }
}

/// The bytes behind the authority. An empty path is `/`.
fn path_and_query(parts: &Parts) -> Result<String, Error> {
    let bytes = parts.uri.path_and_query().map_or("/", uri::PathAndQuery::as_str);
    let bytes = &*written::as_text(bytes);
    match bytes.as_bytes().first() {
        Some(b'/') => Ok(bytes.to_owned()),
        Some(b'?') => Ok(format!("/{bytes}")),
        Some(b'*') if bytes == "*" && parts.method == Method::OPTIONS => Ok(bytes.to_owned()),
        _ => Err(Error::Malformed("the request target must start with a slash".to_owned())),
    }
}

/// In absolute form the target's authority overrides Host. The caller fills in the path.
fn absolute(
    scheme: &uri::Scheme,
    authority: &uri::Authority,
    inside: Option<(&Scheme, &Authority)>,
) -> Result<Target, Error> {
    let scheme = match (scheme.as_str(), inside) {
        ("http", None) => Scheme::Http,
        (given, Some((scheme, _))) if given == scheme.as_str() => *scheme,
        ("https", _) => {
            return Err(Error::Unsupported(
                "https:// is reached through CONNECT, not in absolute form".to_owned(),
            ));
        }
        (other, _) => {
            return Err(Error::Unsupported(format!("the scheme {other} is not supported")));
        }
    };
    let authority = Authority::parse(authority.as_str().as_bytes(), Some(scheme.default_port()))?;
    if let Some((_, tunnel)) = inside {
        same_host(&authority, tunnel)?;
    }
    Ok(Target { scheme, authority, path_and_query: String::new() })
}

fn origin(
    parts: &Parts,
    inside: Option<(&Scheme, &Authority)>,
    own: &dyn Fn(&Authority) -> bool,
) -> Result<TargetForm, Error> {
    let path_and_query = path_and_query(parts)?;
    let scheme = inside.map_or(Scheme::Http, |(scheme, _)| *scheme);
    let host = parts
        .headers
        .get(HOST)
        .map(|host| Authority::parse(host.as_bytes(), Some(scheme.default_port())))
        .transpose()?;
    if let Some((_, tunnel)) = inside {
        // HTTP/1.0 may come without Host. The tunnel has named the target.
        if let Some(host) = host {
            same_host(&host, tunnel)?;
        }
        return Ok(TargetForm::Forward(Target {
            scheme,
            authority: tunnel.clone(),
            path_and_query,
        }));
    }
    if path_and_query == "*" {
        return Ok(TargetForm::Options);
    }
    match host {
        Some(host) if own(&host) => Ok(TargetForm::Own { path_and_query }),
        _ => Err(Error::Misdirected(
            "this is a proxy: set it as HTTP_PROXY, or ask for its own address".to_owned(),
        )),
    }
}

fn same_host(named: &Authority, tunnel: &Authority) -> Result<(), Error> {
    if named == tunnel {
        return Ok(());
    }
    Err(Error::Misdirected(format!("the tunnel leads to {tunnel}, and the request names {named}")))
}

/// Refuses framing that hyper lets through and that does not say where the body ends, or what it
/// is.
pub fn check_framing(parts: &Parts) -> Result<(), Error> {
    if !has_known_coding(&parts.headers) {
        return Err(Error::Unsupported("the only supported transfer coding is chunked".to_owned()));
    }
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(());
    };
    let digits = length.as_bytes();
    if lengths.any(|other| other != length)
        || digits.is_empty()
        || !digits.iter().all(u8::is_ascii_digit)
    {
        return Err(Error::Malformed("Content-Length must be a single number".to_owned()));
    }
    Ok(())
}

/// Whether a message has no transfer coding but `chunked`, which is the only one that is undone here.
pub fn has_known_coding(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return true };
    codings.next().is_none() && coding.as_bytes().eq_ignore_ascii_case(b"chunked")
}

#[cfg(test)]
mod tests;
