//! The head of a request for the next hop.

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRAILER};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Uri, Version};

use crate::http::hop_by_hop;
use crate::http::target::Target;
use crate::http::trailers::announced_trailers;

/// Makes a head that of the next hop: in origin form, with our Via, and without the fields of the
/// engine and of the connection.
pub fn prepare(via: &HeaderValue, target: &Target, head: &mut Parts) {
    let trailer = announced_trailers(&head.headers);
    hop_by_hop::strip_request(&mut head.headers);
    hop_by_hop::add_via(&mut head.headers, via);
    if let Some(trailer) = trailer {
        // hyper sends only the trailers that this field announces.
        head.headers.insert(TRAILER, trailer);
    }
    hop_by_hop::set_host(&mut head.headers, target);
    let path_and_query = std::mem::take(&mut head.uri).into_parts().path_and_query;
    head.uri = Uri::from(path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/")));
    head.version = Version::HTTP_11;
}

/// Announces the length that was counted, not the one that the client announced, and the trailers
/// that came. hyper sends only announced trailers, and only in chunks.
pub fn set_framing(head: &mut Parts, length: u64, trailers: Option<&HeaderMap>) {
    let announced = head.headers.contains_key(CONTENT_LENGTH);
    let expected = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
    hop_by_hop::remove_where(&mut head.headers, |name| {
        name == "trailer" || trailers.is_some() && name == "content-length"
    });
    if let Some(trailers) = trailers {
        for name in trailers.keys() {
            head.headers.append(TRAILER, HeaderValue::from(name.clone()));
        }
    } else if length > 0 || announced || expected {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}
