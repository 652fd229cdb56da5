//! The header fields of the engine's answers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::{DATE, HeaderName, HeaderValue, TRAILER};
use hyper::http::response::Parts;
use hyper::{HeaderMap, StatusCode, Version};
use proxy_core::http::hop_by_hop;
use proxy_core::http::own_fields::RETRY_TOKEN;
use proxy_core::identity::connection_auth::answer_may_bind;
use store::call::Doubt;
use store::model::Timestamp;

use crate::body::pieces::WholeBody;
use crate::body::reply::ReplyBody;
use crate::context::ProxyContext;

pub(crate) const IDEMPOTENCY_STATUS: HeaderName = HeaderName::from_static("idempotency-status");
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
pub(crate) const EXECUTION_ID: HeaderName = HeaderName::from_static("agent-execution-id");
pub(super) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
/// The SDKs of `OpenAI`, Anthropic and Stripe obey these before their own retry rules.
const DO_NOT_RETRY: [HeaderName; 2] =
    [HeaderName::from_static("x-should-retry"), HeaderName::from_static("stripe-should-retry")];

/// Adds the fields of an answer that leaves the call in doubt.
pub(super) fn add_doubt(headers: &mut HeaderMap, doubt: &Doubt) {
    forbid_retry(headers);
    if let Some(token) = &doubt.retry_token
        && let Ok(token) = HeaderValue::from_str(token)
    {
        headers.insert(RETRY_TOKEN, token);
    }
}

/// Keeps clients from retrying by themselves, whatever the tool says.
pub(crate) fn forbid_retry(headers: &mut HeaderMap) {
    remove_retry(headers);
    for name in DO_NOT_RETRY {
        headers.insert(name, HeaderValue::from_static("false"));
    }
}

/// Removes what invites to a retry: `Retry-After`, and its kin such as `Retry-After-Ms`.
pub(crate) fn remove_retry(fields: &mut HeaderMap) {
    hop_by_hop::remove_where(fields, |name| {
        name.contains("retry-after") || name.contains("should-retry")
    });
}

/// Says that a login lasts as long as the client's connection, as some clients need to know before
/// they sign in by NTLM or Negotiate through a proxy (RFC 4559, 6).
pub(super) fn support_logins(head: &mut Parts) {
    if head.status == StatusCode::UNAUTHORIZED && answer_may_bind(&head.headers) {
        head.headers.insert(
            HeaderName::from_static("proxy-support"),
            HeaderValue::from_static("Session-Based-Authentication"),
        );
    }
}

/// Adds the time when an answer came, if it has no Date (RFC 9110, 6.6.1).
pub(super) fn add_date(headers: &mut HeaderMap, received_at: Timestamp) {
    if headers.contains_key(DATE) {
        return;
    }
    let micros = u64::try_from(received_at.as_micros()).unwrap_or(0);
    let time: SystemTime = UNIX_EPOCH + Duration::from_micros(micros);
    if let Ok(value) = HeaderValue::try_from(httpdate::fmt_http_date(time)) {
        headers.insert(DATE, value);
    }
}

/// Gives the head of an answer the framing of this hop. The version is ours: with that of an
/// HTTP/1.0 upstream hyper would end a body with the connection, and a broken answer like a whole
/// one. 1xx and 204 get no length, since they have no body, whatever the upstream's header says
/// (RFC 9112, 6.3).
pub(super) fn own_framing(head: &mut Parts) {
    head.version = Version::HTTP_11;
    if head.status.is_informational() || head.status == StatusCode::NO_CONTENT {
        hop_by_hop::remove_where(&mut head.headers, |name| name == "content-length");
    }
}

/// The body with its trailers. Only a chunked body carries trailers, and only announced ones. hyper
/// drops them if the client did not ask for any.
pub(super) fn with_trailers(
    context: &ProxyContext,
    fields: &mut HeaderMap,
    body: WholeBody,
    trailers: Option<HeaderMap>,
) -> ReplyBody {
    if let Some(trailers) = &trailers {
        hop_by_hop::remove_where(fields, |name| name == "content-length");
        for name in trailers.keys() {
            fields.append(TRAILER, HeaderValue::from(name.clone()));
        }
    }
    match (body, trailers) {
        (WholeBody::Memory(bytes), None) => ReplyBody::whole(bytes),
        (WholeBody::Memory(bytes), Some(trailers)) => ReplyBody::with_trailers(bytes, trailers),
        (body, trailers) => {
            ReplyBody::pieces(body, trailers, &context.bodies.answers, &context.store)
        }
    }
}
