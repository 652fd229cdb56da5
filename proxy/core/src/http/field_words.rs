//! Request fields that describe one try of a call, by the words of their names.

/// Words of fields that describe a try: how often it was repeated, how it is traced, which way it
/// went, when it was sent, what proves that it is fresh.
const WORDS: &[&str] = &[
    "apm",
    "attempts",
    "backoff",
    "datadog",
    "deadline",
    "digest",
    "elapsed",
    "hmac",
    "instana",
    "newrelic",
    "nonce",
    "pinpoint",
    "rayid",
    "requestid",
    "retries",
    "sentry",
    "sig",
    "sign",
    "singularityheader",
    "span",
    "spanid",
    "sw8",
    "telemetry",
    "timeout",
    "timestamp",
    "timestamps",
    "trace",
    "traces",
    "tracing",
    "traceparent",
    "tracestate",
];

/// What a word of such a field has in it, since many names join their words without a sign.
const PARTS: &[&str] =
    &["attempt", "correlation", "csrf", "dynatrace", "retry", "spanid", "traceid", "xsrf"];

/// Two words, one behind the other.
const PAIRS: &[(&str, &str)] = &[
    ("activity", "id"),
    ("client", "ip"),
    ("client", "time"),
    ("connecting", "ip"),
    ("hop", "count"),
    ("invocation", "id"),
    ("queue", "start"),
    ("queue", "time"),
    ("real", "ip"),
    ("request", "date"),
    ("request", "start"),
    ("request", "time"),
    ("sent", "at"),
    ("user", "agent"),
];

/// Whole names.
const NAMES: &[&str] = &[
    // The client and its network: RFC 9218, RFC 8470, RFC 9110 7.6, RFC 7239, RFC 8586,
    // https://wicg.github.io/netinfo/
    "priority",
    "early-data",
    "referer",
    "via",
    "max-forwards",
    "cdn-loop",
    "cf-ray",
    "rtt",
    "downlink",
    "ect",
    // The time that vendors' signatures cover, as `x-amz-date` does.
    "x-ms-date",
    "x-acs-date",
    "x-bce-date",
    "x-goog-date",
    "x-obs-date",
    "x-oss-date",
    "x-sdk-date",
    "x-tos-date",
    "x-jdcloud-date",
];

/// Words of `X-Forwarded-…` that describe the way of a request. Others, such as `User`, do not.
const FORWARDED: &[&str] = &[
    "by", "client", "for", "host", "ip", "path", "port", "prefix", "proto", "scheme", "server",
    "ssl", "uri",
];

/// Whether a field describes one try, by its words. `name` is in lower case.
pub(super) fn describes_a_try(name: &str) -> bool {
    let words: Vec<&str> = split(name).collect();
    NAMES.contains(&name)
        || name.starts_with("sec-")
        || words
            .iter()
            .any(|word| WORDS.contains(word) || PARTS.iter().any(|part| word.contains(part)))
        || words.windows(2).any(|pair| PAIRS.contains(&(pair[0], pair[1])))
        || words.contains(&"request") && words.last() == Some(&"id")
        || is_forwarded(&words)
}

fn is_forwarded(words: &[&str]) -> bool {
    words
        .iter()
        .position(|word| *word == "forwarded")
        .is_some_and(|at| words[at + 1..].first().is_none_or(|next| FORWARDED.contains(next)))
}

/// Whether a field proves that one try is fresh, or that a person or a payment authorises it. Its
/// value is as secret as a credential. `name` is in lower case.
pub(crate) fn is_proof(name: &str) -> bool {
    const PROOFS: &[&str] = &[
        "assertion",
        "attestation",
        "captcha",
        "hcaptcha",
        "mfa",
        "otp",
        "proof",
        "recaptcha",
        "totp",
    ];
    // https://www.rfc-editor.org/rfc/rfc9449#section-4.1,
    // https://github.com/coinbase/x402/blob/main/specs/transports-v1/http.md
    matches!(name, "dpop" | "x-payment" | "payment-signature")
        || split(name).any(|word| PROOFS.contains(&word))
        || split(name).any(|word| word == "turnstile")
}

/// Whether a field holds the time of a signature, if the request has one: `X-Date`, `Api-Expires`.
/// `name` is in lower case.
pub(crate) fn times_a_signature(name: &str) -> bool {
    matches!(split(name).last(), Some("date" | "time" | "ts" | "expires" | "expiry" | "created"))
}

/// The words of a field's name, which is in lower case.
pub(crate) fn split(name: &str) -> impl Iterator<Item = &str> {
    name.split(['-', '_', '.']).filter(|word| !word.is_empty())
}
