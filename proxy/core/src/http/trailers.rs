//! Fields behind a body (RFC 9110, 6.5). A recipient may merge them into the head, so that what the head
//! must not have is not let through behind the body.

use http::header::{HeaderMap, HeaderValue, TRAILER};

use super::hop_by_hop::{HOP_BY_HOP, remove_where, tokens};
use super::own_fields::{OURS_IN_ANSWERS, OURS_IN_REQUESTS};

/// Fields that are about framing, routing, who asks, or how the body is to be read. They come too
/// late in a trailer (RFC 9110, 6.5.1).
const TOO_LATE: &[&str] = &[
    "content-length",
    "content-encoding",
    "content-type",
    "content-range",
    "host",
    "expect",
    "max-forwards",
    "authorization",
    "cookie",
    "set-cookie",
    "www-authenticate",
    "location",
    "idempotency-key",
];

/// Removes what must not be in a trailer, of a request or an answer: fields of one connection, those
/// that only the engine reads or sets, and those that come too late.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    remove_where(trailers, |name| !may_follow(name));
}

/// The field `Trailer` of a head, without what [`strip_trailers`] removes. hyper sends only the
/// trailers that it announces.
pub fn announced_trailers(headers: &HeaderMap) -> Option<HeaderValue> {
    let names = headers.get_all(TRAILER).iter().flat_map(tokens);
    let names: Vec<_> = names.filter(|name| may_follow(&name.to_ascii_lowercase())).collect();
    HeaderValue::try_from(names.join(", ")).ok().filter(|names| !names.is_empty())
}

fn may_follow(name: &str) -> bool {
    let lists = [HOP_BY_HOP, OURS_IN_ANSWERS, OURS_IN_REQUESTS, TOO_LATE];
    !lists.iter().any(|list| list.contains(&name))
}

#[cfg(test)]
mod tests {
    use http::header::HeaderName;

    use super::*;

    #[test]
    fn a_trailer_says_nothing_that_the_head_must_not() {
        let names = [
            "x-sum",
            "idempotency-status",
            "agent-session",
            "transfer-encoding",
            "content-length",
            "host",
            "grpc-status",
            "set-cookie",
            "proxy-authenticate",
        ];
        let value = || HeaderValue::from_static("1");
        let mut trailers: HeaderMap =
            names.iter().map(|name| (HeaderName::from_static(name), value())).collect();
        strip_trailers(&mut trailers);
        let left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-sum", "grpc-status"]);
        let announced = |values: &[&'static str]| {
            let fields = values.iter().map(|value| (TRAILER, HeaderValue::from_static(value)));
            announced_trailers(&fields.collect())
        };
        let both = announced(&["X-Sum, Idempotency-Status", "Grpc-Status"]);
        assert_eq!(both.unwrap(), "X-Sum, Grpc-Status");
        assert_eq!(announced(&["Host", "IDEMPOTENCY-STATUS"]), None);
        assert_eq!(announced(&[]), None);
    }
}
