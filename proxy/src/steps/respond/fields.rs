//! The header fields of the engine's answers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{DATE, HeaderName, HeaderValue, TRAILER};
use hyper::http::response::Parts;
use hyper::{HeaderMap, StatusCode, Version};
use proxy_core::http::hop_by_hop;
use proxy_core::http::own_fields::RETRY_TOKEN;
use store::call::Doubt;
use store::model::Timestamp;

use crate::body::stream::Body;

pub(crate) const IDEMPOTENCY_STATUS: HeaderName = HeaderName::from_static("idempotency-status");
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
pub(crate) const EXECUTION_ID: HeaderName = HeaderName::from_static("agent-execution-id");
pub(crate) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
/// What the SDKs of `OpenAI` and Anthropic, and of Stripe, obey before their own retry rules.
const DO_NOT_RETRY: [HeaderName; 2] =
    [HeaderName::from_static("x-should-retry"), HeaderName::from_static("stripe-should-retry")];

/// The headers of an answer that leaves the call in doubt: clients must not retry by themselves.
pub(crate) fn in_doubt(headers: &mut HeaderMap, doubt: &Doubt) {
    for name in DO_NOT_RETRY {
        headers.insert(name, HeaderValue::from_static("false"));
    }
    if let Some(token) = &doubt.retry_token
        && let Ok(token) = HeaderValue::from_str(token)
    {
        headers.insert(RETRY_TOKEN, token);
    }
}

/// An answer without Date gets the time when it came (RFC 9110, 6.6.1).
pub(crate) fn date(headers: &mut HeaderMap, received_at: Timestamp) {
    if headers.contains_key(DATE) {
        return;
    }
    let micros = u64::try_from(received_at.as_micros()).unwrap_or(0);
    let time: SystemTime = UNIX_EPOCH + Duration::from_micros(micros);
    if let Ok(value) = HeaderValue::try_from(httpdate::fmt_http_date(time)) {
        headers.insert(DATE, value);
    }
}

/// Makes the head of an answer fit for this hop: our version, since after that of an upstream's
/// HTTP/1.0 hyper would end a body with the connection, and a broken answer like a whole one; and no
/// length for 1xx and 204, which have no body whatever the upstream's header says (RFC 9112, 6.3).
pub(crate) fn own_framing(head: &mut Parts) {
    head.version = Version::HTTP_11;
    if head.status.is_informational() || head.status == StatusCode::NO_CONTENT {
        hop_by_hop::remove_where(&mut head.headers, |name| name == "content-length");
    }
}

/// Only a chunked body carries trailers, and only announced ones; hyper drops them where the
/// client did not ask for any.
pub(crate) fn with_trailers(
    fields: &mut HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
) -> Body {
    let Some(trailers) = trailers else { return Body::whole(body) };
    hop_by_hop::remove_where(fields, |name| name == "content-length");
    for name in trailers.keys() {
        fields.append(TRAILER, HeaderValue::from(name.clone()));
    }
    Body::with_trailers(body, trailers)
}
