//! What a header field or a query parameter means for a call: part of it, a credential, or noise.

use percent_encoding::percent_decode_str;

use crate::http::field_words::{describes_a_try, is_proof, split};
use crate::http::known_fields::{KNOWN_FIELDS, SUBJECTS};
use crate::http::own_fields::OURS_IN_REQUESTS;

/// Request fields that never distinguish two calls (docs/SEMANTICS.md, "When two inputs are the
/// same"). This list and the next two are frozen: version 0.2.0 knew no others.
const NOISE: &[&str] = &[
    // Hop-by-hop.
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "upgrade",
    "http2-settings",
    // Framing.
    "content-length",
    "transfer-encoding",
    "trailer",
    "expect",
    // About the client and the time.
    "host",
    "user-agent",
    "date",
    // The key itself.
    "idempotency-key",
    // Tracing.
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "sentry-trace",
    // Fields that go with signatures.
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
    "x-goog-api-client",
    "content-md5",
];

const NOISE_PREFIXES: &[&str] =
    &["accept", "x-b3-", "x-datadog-", "x-stainless-", "amz-sdk-", "x-stripe-client-"];

const NOISE_SUFFIXES: &[&str] =
    &["request-id", "correlation-id", "trace-id", "timestamp", "nonce", "digest"];

/// Fields that say whose call it is.
const CREDENTIALS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "api-key",
    "apikey",
    "private-token",
    "job-token",
    "deploy-token",
    "circle-token",
    "x-vault-token",
    "x-consul-token",
    "x-figma-token",
    "x-auth-key",
    "x-functions-key",
    "ocp-apim-subscription-key",
];

const CREDENTIAL_SUFFIXES: &[&str] =
    &["-api-key", "-apikey", "-api-token", "-auth-token", "-access-token", "-app-key", "-secret"];

/// Query parameters that say whose call it is, in lower case.
const CREDENTIAL_PARAMETERS: &[&str] = &[
    "key",
    "api_key",
    "api-key",
    "apikey",
    "access_token",
    "auth_token",
    "token",
    "client_secret",
    "x-amz-credential",
    "x-amz-security-token",
    "x-goog-credential",
];

/// Whether a request field distinguishes two calls of which no key and no doubt is known. `name` is
/// in lower case.
///
/// `Content-Encoding` counts here. A caller that undid the coding leaves it out.
pub fn counts(name: &str) -> bool {
    counted_before(name) && !is_proof(name) && (is_listed(name) || !describes_a_try(name))
}

/// Whether a request field is known to select what is done, to what, or for which account. No other
/// field makes a retry a different call. `name` is in lower case.
pub fn is_known(name: &str) -> bool {
    is_listed(name) || names_a_subject(name) && counts(name)
}

/// Whether a request field distinguished two calls in version 0.2.0. `name` is in lower case.
pub(crate) fn counted_before(name: &str) -> bool {
    !(NOISE.contains(&name)
        || NOISE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || NOISE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || name.contains("signature")
        || is_ours(name)
        || is_credential(name))
}

fn is_listed(name: &str) -> bool {
    KNOWN_FIELDS.iter().any(|(known, _)| *known == name)
}

fn names_a_subject(name: &str) -> bool {
    split(name).any(|word| SUBJECTS.contains(&word))
        && !split(name).any(|word| word == "agent" || word == "useragent")
}

/// Whether a field is one of MCP's. On a tool call it repeats the body, or names its version or its
/// session, and distinguishes no calls. `name` is in lower case.
pub(crate) fn is_of_mcp(name: &str) -> bool {
    name.starts_with("mcp-")
}

/// Whether a rule may make a request field count. A credential may not, since the key has the
/// principal, and neither may the proof of one try, and fields of the connection, the framing or
/// the engine. `name` is in lower case.
pub(crate) fn may_count(name: &str) -> bool {
    const NEVER: &[&str] = &[
        "connection",
        "proxy-connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "content-length",
        "upgrade",
        "expect",
        "idempotency-key",
    ];
    !(is_credential(name) || is_proof(name) || is_ours(name) || NEVER.contains(&name))
}

/// Whether only the engine reads a field. `name` is in lower case.
fn is_ours(name: &str) -> bool {
    OURS_IN_REQUESTS.contains(&name)
}

/// Whether a field says whose call it is. `name` is in lower case.
pub(crate) fn is_credential(name: &str) -> bool {
    CREDENTIALS.contains(&name) || CREDENTIAL_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// Whether a query parameter says whose call it is. `name` is as [`parameter_name`] reads it.
pub(crate) fn is_credential_parameter(name: &str) -> bool {
    CREDENTIAL_PARAMETERS.contains(&name)
}

/// A query parameter's name as a server reads it, in lower case.
pub(crate) fn parameter_name(raw: &str) -> String {
    percent_decode_str(raw).decode_utf8_lossy().to_ascii_lowercase()
}

/// Whether a member of a body or a variable is named like a secret. What this says is frozen: it
/// decides which variables of an MCP server on stdio are its credentials, and those are part of
/// keys.
pub fn is_secret_name(name: &str) -> bool {
    const WORDS: &[&str] = &[
        "password",
        "passwd",
        "passphrase",
        "secret",
        "apikey",
        "accesskey",
        "privatekey",
        "credential",
        "authorization",
        "cookie",
        "signature",
        "bearer",
        "assertion",
    ];
    const WHOLE: &[&str] =
        &["pwd", "pass", "auth", "otp", "pin", "jwt", "cvv", "cvc", "ssn", "mcpsessionid"];
    let bare: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    // `max_tokens` and `prompt_tokens` count words; `access_token` is one secret.
    bare.ends_with("token")
        || WORDS.iter().any(|word| bare.contains(word))
        || WHOLE.contains(&bare.as_str())
}

#[cfg(test)]
mod tests;
