use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::request::{Authority, Scheme};

fn map(list: &[(&str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines
}

#[test]
fn requests_lose_what_is_for_one_hop_and_what_is_ours() {
    let mut headers = map(&[
        ("host", "h"),
        ("connection", "close, X-Secret"),
        ("connection", "Host, Content-Length, Authorization, Idempotency-Key"),
        ("x-secret", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive, x-other"),
        ("x-other", "1"),
        ("te", "gzip"),
        ("trailer", "x-sum"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMA"),
        ("proxy-authorization", "Basic eDp5"),
        ("proxy-authenticate", "Basic"),
        ("expect", "100-continue"),
        ("agent-session", "s"),
        ("agent-goal", "g"),
        ("agent-user", "u"),
        ("agent-run", "r"),
        ("agent-repeat", "2"),
        ("agent-execution-id", "e"),
        ("agent-stdio-port", "1"),
        ("agent-tenant", "t"),
        ("idempotency-retry-token", "t"),
        ("content-length", "2"),
        ("authorization", "Bearer x"),
        ("idempotency-key", "k"),
        ("cookie", "a=b"),
    ]);
    strip_request(&mut headers);
    assert_eq!(
        lines(&headers),
        [
            "agent-tenant: t",
            "authorization: Bearer x",
            "content-length: 2",
            "cookie: a=b",
            "host: h",
            "idempotency-key: k",
        ]
    );
}

#[test]
fn te_keeps_the_word_trailers() {
    let mut headers = map(&[("te", "gzip;q=1, Trailers"), ("connection", "te")]);
    strip_request(&mut headers);
    assert_eq!(lines(&headers), ["connection: te", "te: trailers"]);
}

#[test]
fn answers_lose_what_is_for_one_hop_and_what_is_ours() {
    let mut headers = map(&[
        ("connection", "x-hop, set-cookie"),
        ("x-hop", "1"),
        ("transfer-encoding", "chunked"),
        ("proxy-authenticate", "Basic"),
        ("agent-execution-id", "forged"),
        ("agent-tenant", "t"),
        ("content-length", "3"),
        ("idempotency-status", "replayed"),
        ("idempotent-replayed", "true"),
        ("idempotency-retry-token", "t"),
        ("set-cookie", "a=b"),
        ("date", "d"),
        ("idempotency-key", "k"),
    ]);
    strip_response(&mut headers);
    assert_eq!(
        lines(&headers),
        ["agent-tenant: t", "date: d", "idempotency-key: k", "set-cookie: a=b"]
    );
    let mut headers = map(&[("content-length", "3"), ("connection", "content-length")]);
    strip_response(&mut headers);
    assert_eq!(lines(&headers), ["content-length: 3"], "no coding overrides it");
}

#[test]
fn what_is_left_keeps_its_order_and_its_values() {
    let given = [
        ("connection", "x"),
        ("a", "1"),
        ("b", "2"),
        ("x", "0"),
        ("c", "3"),
        ("a", "4"),
        ("d", "5"),
    ];
    let mut headers = map(&given);
    remove_where(&mut headers, |name| ["connection", "x"].contains(&name));
    let left: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(left, [("a", "1"), ("a", "4"), ("b", "2"), ("c", "3"), ("d", "5")]);
}

#[test]
fn host_follows_the_target() {
    for (port, want) in [(80, "h.example"), (8080, "h.example:8080")] {
        let mut headers = map(&[("host", "evil.example"), ("a", "b")]);
        let authority = Authority { host: "h.example".to_owned(), port };
        let target = Target { scheme: Scheme::Http, authority, path_and_query: "/".to_owned() };
        set_host(&mut headers, &target);
        assert_eq!(headers[header::HOST], want);
    }
}

#[test]
fn loops_are_seen() {
    let mut headers = map(&[("via", "1.0 fred, 1.1 other (a, b)")]);
    assert!(!via_has(&headers, "engine-1"));
    add_via(&mut headers, &HeaderValue::from_static("1.1 engine-1"));
    assert!(via_has(&headers, "engine-1"));
    assert!(via_has(&map(&[("via", "1.0 fred, HTTP/1.1 ENGINE-1 (x)")]), "engine-1"));
    assert!(!via_has(&headers, "engine-10"));
    assert_eq!(headers.get_all("via").iter().count(), 2);
}

#[test]
fn upgrades_pass_on_a_get_alone_and_never_h2c() {
    let get = Method::GET;
    for (method, connection, upgrade, want) in [
        (&get, Some("Upgrade"), Some("websocket"), Some("websocket")),
        (&get, Some("keep-alive, upgrade"), Some("WebSocket"), Some("WebSocket")),
        (&get, Some("upgrade"), Some("h2c, websocket"), Some("websocket")),
        (&get, Some("upgrade, http2-settings"), Some("H2C"), None),
        (&get, Some("upgrade"), Some("h2"), None),
        (&get, Some("upgrade"), None, None),
        (&get, Some("keep-alive"), Some("websocket"), None),
        (&get, None, Some("websocket"), None),
        (&Method::POST, Some("upgrade"), Some("websocket"), None),
    ] {
        let mut headers = HeaderMap::new();
        for (name, value) in [("connection", connection), ("upgrade", upgrade)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        let got = upgrade_of(method, &headers);
        assert_eq!(got.as_ref().map(|v| v.to_str().unwrap()), want, "{method} {headers:?}");
    }
}

/// docs/SEMANTICS.md, "When two inputs are the same", point 5, case by case.
#[test]
fn what_tells_two_calls_apart() {
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
fn credentials_are_the_principal() {
    let headers = map(&[
        ("x-api-key", "1"),
        ("authorization", "Bearer a"),
        ("cookie", "b=1"),
        ("cookie", "a=2"),
        ("proxy-authorization", "Basic eDp5"),
        ("content-type", "text/plain"),
        ("x-shopify-access-token", "s"),
        ("x-amz-security-token", "rotates"),
    ]);
    let parts = principal_parts(&headers, Some("q=1&API%5Fkey=z&key=k&sig=s&key=l&flag"));
    let told: Vec<_> = parts
        .iter()
        .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
        .collect();
    assert_eq!(
        told,
        [
            "?api_key=z",
            "?key=k",
            "?key=l",
            "authorization=Bearer a",
            "cookie=b=1",
            "cookie=a=2",
            "x-api-key=1",
            "x-shopify-access-token=s",
        ]
    );
    assert!(principal_parts(&HeaderMap::new(), None).is_empty());
}

#[test]
fn a_signature_is_nobody() {
    let signed = |id: &str, signature: &str| {
        let scope = "20260131/eu-west-1/sns/aws4_request";
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, Signature={signature}")
    };
    let parts = |fields: &[&str]| {
        let list: Vec<_> = fields.iter().map(|field| ("authorization", *field)).collect();
        principal_parts(&map(&list), None)
    };
    let (ada, again, bob) = (signed("ADA", "1"), signed("ADA", "2"), signed("BOB", "1"));
    assert_eq!(parts(&[&ada]), [("authorization access key".to_owned(), b"ADA".to_vec())]);
    assert_eq!(parts(&[&ada]), parts(&[&again]));
    assert_ne!(parts(&[&ada]), parts(&[&bob]));
    // Which of two a server reads is not known.
    assert_ne!(parts(&[&ada, &bob]), parts(&[&again, &bob]));
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
