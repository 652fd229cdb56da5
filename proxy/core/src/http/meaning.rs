//! What a header or a query parameter means for a call: part of it, a credential, or noise.

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

use super::authorization;

/// Request fields that never tell two calls apart (docs/SEMANTICS.md, "When two inputs are the
/// same"). Everything that neither this nor the rules below name counts.
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
    // About the client and the moment.
    "host",
    "user-agent",
    "date",
    // The key is what the others hang on.
    "idempotency-key",
    // Tracing.
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "sentry-trace",
    // Signatures' companions.
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

/// Does a request field tell two calls apart. `name` is in lower case.
///
/// `Content-Encoding` counts here; a caller that undid the coding leaves it out.
pub(crate) fn counts(name: &str) -> bool {
    !(NOISE.contains(&name)
        || NOISE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || NOISE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || name.contains("signature")
        || is_ours(name)
        || is_credential(name))
}

/// Is a field one of MCP's. On a tool call it mirrors the body, names its version, or the session
/// that it came by, and tells no two calls apart. `name` is in lower case.
pub(crate) fn is_of_mcp(name: &str) -> bool {
    name.starts_with("mcp-")
}

/// May a rule make a request field count: not a credential, which is the principal's part of the
/// key, nor what belongs to the connection, the framing or the engine. `name` is in lower case.
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
    !(is_credential(name) || is_ours(name) || NEVER.contains(&name))
}

/// Is a field for the engine alone. `name` is in lower case.
fn is_ours(name: &str) -> bool {
    super::OURS_IN_REQUESTS.contains(&name)
}

/// Does a field say whose call it is. `name` is in lower case.
fn is_credential(name: &str) -> bool {
    CREDENTIALS.contains(&name) || CREDENTIAL_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// Whose credentials a request carries: fields and query parameters, sorted by name, the values of
/// one name in their order; of an Authorization that each request makes anew, what stays. The proxy's
/// own credentials are its scope and not among them.
pub(crate) fn principal_parts(headers: &HeaderMap, query: Option<&str>) -> Vec<(String, Vec<u8>)> {
    let fields = headers
        .iter()
        .filter(|(name, _)| is_credential(name.as_str()) && *name != "proxy-authorization")
        .flat_map(|(name, value)| match whom_it_names(headers, name) {
            Some(parts) => parts,
            None => vec![(name.as_str().to_owned(), value.as_bytes().to_vec())],
        });
    let parameters = query.into_iter().flat_map(|query| query.split('&')).filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let name = parameter_name(name);
        CREDENTIAL_PARAMETERS
            .contains(&name.as_str())
            .then(|| (format!("?{name}"), value.as_bytes().to_vec()))
    });
    let mut parts: Vec<_> = fields.chain(parameters).collect();
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    parts
}

/// The lasting parts of the one Authorization, under names that no field has.
fn whom_it_names(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<(String, Vec<u8>)>> {
    if name != AUTHORIZATION || headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        return None;
    }
    let parts = authorization::lasting(headers.get(name)?.as_bytes())?;
    let named = |(part, value): (&str, &str)| (format!("{name} {part}"), value.as_bytes().to_vec());
    Some(parts.into_iter().map(named).collect())
}

/// A query parameter's name as a server reads it, in lower case.
fn parameter_name(raw: &str) -> String {
    percent_decode_str(raw).decode_utf8_lossy().to_ascii_lowercase()
}

/// Must the value of a form's field or a query parameter be masked before anything is stored or shown. `raw` is
/// the name as it stands there.
pub(crate) fn is_secret_parameter(raw: &str) -> bool {
    let name = parameter_name(raw);
    CREDENTIAL_PARAMETERS.contains(&name.as_str())
        || ["sig", "x-amz-signature", "x-goog-signature"].contains(&name.as_str())
        || is_secret_name(&name)
}

/// The same of a URL, which people see. `code`: OAuth's (RFC 6749, 4.1.2), and the key of an Azure function.
pub(crate) fn is_secret_in_url(raw: &str) -> bool {
    let name = parameter_name(raw);
    is_secret_parameter(raw) || name == "code" || is_some_key(&name)
}

/// Must a field's value be masked before anything is stored or shown. `name` is in lower case.
pub(crate) fn is_secret_field(name: &str) -> bool {
    is_secret_name(name) || is_some_key(name) || name == "x-honeycomb-team"
}

/// A subscription's, an application's, a shared one: there are too many to name.
fn is_some_key(name: &str) -> bool {
    (name.ends_with("-key") || name.ends_with("_key")) && !name.contains("idempotency")
}

/// Is a member of a body named like a secret: then its value is never stored.
pub(crate) fn is_secret_name(name: &str) -> bool {
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
