use super::*;

/// docs/SEMANTICS.md, "When two inputs are the same", point 5, case by case.
#[test]
fn fields_that_distinguish_two_calls() {
    let noise = "connection proxy-connection keep-alive te upgrade content-length \
        transfer-encoding trailer expect host user-agent accept accept-encoding accept-language \
        accept-charset date authorization proxy-authorization cookie x-api-key api-key \
        x-goog-api-key idempotency-key agent-session agent-goal agent-user agent-run agent-repeat \
        idempotency-retry-token traceparent tracestate baggage b3 x-b3-traceid x-b3-sampled \
        sentry-trace x-datadog-trace-id x-datadog-origin x-stainless-retry-count x-stainless-os \
        amz-sdk-invocation-id amz-sdk-request x-amz-date x-amz-security-token \
        x-amz-content-sha256 x-stripe-client-user-agent x-stripe-client-telemetry \
        x-goog-api-client x-request-id request-id client-request-id x-correlation-id \
        x-cloud-trace-id x-timestamp x-slack-request-timestamp x-nonce signature \
        x-slack-signature signature-input x-signature-256 digest content-digest repr-digest \
        content-md5";
    for name in noise.split_ascii_whitespace() {
        assert!(!counts(name), "{name}");
    }
    for name in noise.split_ascii_whitespace() {
        assert!(!counted_before(name), "{name}: a stored key depends on it");
    }
    let tries = "retry-attempt x-retry-count x-retry x-retries x-retry-after-count retry-count \
        x-attempt attempt-number x-envoy-attempt-count x-retrycount x-is-retry newrelic \
        x-cloud-trace-context x-amzn-trace-id uber-trace-id elastic-apm-traceparent x-instana-t \
        x-instana-l x-dynatrace pinpoint-spanid sw8 sw8-correlation ot-tracer-traceid \
        x-ms-request-root-id x-amzn-requestid x-activity-id x-ms-date dpop x-payment \
        payment-signature client-attestation x-login-assertion oauth-proof x-otp x-csrf-token \
        x-xsrf-token kbn-xsrf forwarded x-forwarded-for x-original-forwarded-for x-real-ip \
        true-client-ip cf-connecting-ip via cdn-loop x-request-start x-queue-start sec-fetch-mode \
        sec-ch-ua priority early-data referer x-request-timeout x-timeout-ms cb-access-sign \
        cb-access-timestamp api-sign x-ok-nonce x-client-telemetry";
    for name in tries.split_ascii_whitespace() {
        assert!(!counts(name), "{name}");
        assert!(!is_known(name), "{name}");
    }
    let meaning = "content-type content-encoding content-language content-range content-disposition \
        x-amz-target soapaction upload-offset stripe-account stripe-version openai-organization \
        if-match if-none-match if-unmodified-since prefer x-http-method-override range \
        destination overwrite depth x-github-api-version notion-version link slug x-upsert \
        x-tenant x-tenant-id x-user-id x-account xero-tenant-id x-on-behalf-of impersonate-group";
    for name in meaning.split_ascii_whitespace() {
        assert!(counts(name) && is_known(name), "{name}");
    }
    let others = "origin x-requested-with x-request-idempotent x-dates x-hosts x-page-token \
        mcp-protocol-version x-tracking-number x-delivery-date x-priority x-country x-mac-address \
        x-forwarded-user x-signal x-design x-foo";
    for name in others.split_ascii_whitespace() {
        assert!(counts(name), "{name}");
    }
}

#[test]
fn what_version_0_2_0_left_out_is_still_left_out() {
    for (name, _) in crate::http::known_fields::KNOWN_FIELDS {
        assert!(counted_before(name), "{name}");
    }
}

#[test]
fn names_of_secrets() {
    for name in [
        "password",
        "Passwd",
        "client_secret",
        "clientSecret",
        "api_key",
        "apiKey",
        "X-API-Key",
        "access_token",
        "refreshToken",
        "token",
        "id_token",
        "private_key",
        "aws_access_key_id",
        "credentials",
        "authorization",
        "set-cookie",
        "pwd",
        "otp",
        "cvv",
        "client_assertion",
    ] {
        assert!(is_secret_name(name), "{name}");
    }
    for name in [
        "max_tokens",
        "prompt_tokens",
        "to",
        "subject",
        "key",
        "author",
        "passenger",
        "pinned",
        "spin",
    ] {
        assert!(!is_secret_name(name), "{name}");
    }
}
