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
    let meaning = "content-type content-encoding content-language content-range content-disposition \
        x-amz-target soapaction upload-offset stripe-account stripe-version openai-organization \
        if-match if-none-match if-unmodified-since prefer x-http-method-override range referer \
        origin x-requested-with x-csrf-token destination overwrite depth x-github-api-version \
        notion-version link slug x-upsert x-request-idempotent x-dates x-hosts \
        forwarded x-forwarded-for x-tenant x-page-token mcp-protocol-version";
    for name in meaning.split_ascii_whitespace() {
        assert!(counts(name), "{name}");
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
    for name in ["key", "access_token", "sig", "X-Amz-Signature", "x%2Damz-signature", "api%5Fkey"]
    {
        assert!(is_secret_parameter(name), "{name}");
    }
    for name in ["application_key", "code", "key"] {
        assert!(is_secret_in_url(name), "{name}");
    }
    for name in ["q", "monkey", "idempotency_key"] {
        assert!(!is_secret_in_url(name), "{name}");
    }
    for name in ["q", "page", "keyword", "id", "monkey"] {
        assert!(!is_secret_parameter(name), "{name}");
    }
    for name in ["dd-application-key", "x-parse-master-key", "aeg-sas-key", "x-honeycomb-team"] {
        assert!(is_secret_field(name), "{name}");
    }
    for name in ["x-tenant", "content-type", "x-monkey", "x-idempotency-key"] {
        assert!(!is_secret_field(name), "{name}");
    }
}
