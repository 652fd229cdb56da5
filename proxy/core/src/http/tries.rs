//! Members, fields of forms and parameters that describe one try of a call, by their names: its key,
//! its proof, its time limit. A client draws them again for each try.

use super::words::words;

/// Whether a name describes one try.
pub(crate) fn describes_a_try(name: &str) -> bool {
    let words = words(name);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    is_key(&words) || is_counter(&words) || is_proof(&words) || is_time_limit(&words)
}

/// The key of a call. A name that may as well be an order's or a customer's is none.
fn is_key(words: &[&str]) -> bool {
    const WORDS: &[&str] = &[
        "idempotency",
        "idempotent",
        "idempotence",
        "deduplication",
        "nonce",
        "cnonce",
        "requestid",
        "traceid",
        "traceparent",
        "tracestate",
        "spanid",
        "correlation",
        "correlationid",
        "idempotencykey",
        "clientmutationid",
    ];
    const ENDS: &[&[&str]] = &[
        &["request", "id"],
        &["request", "uuid"],
        &["request", "token"],
        &["client", "token"],
        &["mutation", "id"],
        &["trace", "id"],
        &["span", "id"],
        &["nonce", "str"],
    ];
    words.iter().any(|word| WORDS.contains(word)) || ENDS.iter().any(|end| words.ends_with(end))
}

/// How often the call was tried. `retry_of` names another call, and `max_retries` a policy.
fn is_counter(words: &[&str]) -> bool {
    const NUMBERS: &[&str] = &["count", "number", "no", "num", "index", "id"];
    match words {
        [.., "retry" | "attempt", last] => NUMBERS.contains(last),
        ["retry" | "retries" | "attempt" | "attempts"] | ["is", "retry"] => true,
        [one] => matches!(*one, "retrycount" | "attemptnumber" | "isretry"),
        _ => false,
    }
}

/// What proves that a try is fresh, or that a person authorises it.
fn is_proof(words: &[&str]) -> bool {
    const WORDS: &[&str] = &[
        "captcha",
        "recaptcha",
        "hcaptcha",
        "turnstile",
        "otp",
        "totp",
        "assertion",
        "attestation",
    ];
    const CODES: &[&[&str]] =
        &[&["mfa", "code"], &["one", "time", "code"], &["authenticity", "token"], &["dpop"]];
    words
        .iter()
        .any(|word| WORDS.contains(word) || word.starts_with("csrf") || word.starts_with("xsrf"))
        || CODES.iter().any(|end| words.ends_with(end))
}

/// How long the caller waits, as in `timeout_ms`. `session_timeout` is a setting of something else.
fn is_time_limit(words: &[&str]) -> bool {
    match words {
        [first, ..] if first.starts_with("timeout") => true,
        ["request", second, ..] => second.starts_with("timeout"),
        ["time", "out", ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_draws_for_each_try() {
        let drawn = "idempotency_key idempotencyKey Idempotency-Key x_idempotency_token request_id \
            requestId RequestID request-id client_request_id clientRequestId ClientRequestToken \
            clientToken clientMutationId nonce nonce_str cnonce x_nonce trace_id traceparent spanId \
            correlation_id correlationId retry_count retryCount attempt attemptNumber is_retry \
            MessageDeduplicationId csrf_token csrfmiddlewaretoken g-recaptcha-response \
            cf-turnstile-response otp mfa_code client_assertion authenticity_token timeout \
            timeout_ms timeoutSeconds TIMEOUT timeoutMs request_timeout time_out";
        for name in drawn.split_ascii_whitespace() {
            assert!(describes_a_try(name), "{name}");
        }
        let meant = "id order_id client_order_id message_id transaction_id reference external_id \
            request requests requested_by retry_of max_retries retry_policy attempts_left amount \
            session_timeout announce pronounced token access_token page_token timestamp time \
            tracking_number span account correspondent country signature sign";
        for name in meant.split_ascii_whitespace() {
            assert!(!describes_a_try(name), "{name}");
        }
    }
}
