//! The header fields that are the engine's own.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::error::Error;

/// The client's own key.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Allows another attempt of a call in doubt.
pub const RETRY_TOKEN: HeaderName = HeaderName::from_static("idempotency-retry-token");

/// The request header in which the wrapper of a server on stdio names its port. Never sent on.
pub const STDIO_PORT: &str = "agent-stdio-port";

/// The request header in which such a wrapper proves that it can read the database. Never sent on.
pub const STDIO_PROOF: &str = "agent-stdio-proof";

/// Request fields that only the engine reads. Other fields that are named `Agent-…` are the tool's.
pub(crate) const OURS_IN_REQUESTS: &[&str] = &[
    "agent-session",
    "agent-goal",
    "agent-user",
    "agent-run",
    "agent-repeat",
    "agent-execution-id",
    STDIO_PORT,
    STDIO_PROOF,
    "idempotency-retry-token",
];

/// Answer fields that only the engine may set.
pub(crate) const OURS_IN_ANSWERS: &[&str] =
    &["agent-execution-id", "idempotency-status", "idempotent-replayed", "idempotency-retry-token"];

/// The value of a field that may stand only once.
pub(crate) fn single_value<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Error> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        _ => Err(Error::Malformed(format!("the request has more than one {name} header"))),
    }
}

/// Whether a text has visible characters and no control characters.
pub(crate) fn is_readable(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(char::is_control)
}
