use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::http::target::{Authority, Scheme};

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
        ("agent-stdio-proof", "x"),
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
        let authority = Authority::new("h.example", port);
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
