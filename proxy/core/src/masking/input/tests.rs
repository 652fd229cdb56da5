use http::Method;
use http::header::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::http::meaning::counts;
use crate::http::target::{Authority, Scheme, Target};

fn target(host: &str, path_and_query: &str) -> Target {
    Target {
        scheme: Scheme::Http,
        authority: Authority::new(host, 80),
        path_and_query: path_and_query.to_owned(),
    }
}

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            (name.parse::<HeaderName>().unwrap(), value)
        })
        .collect()
}

fn stored(list: &[(&str, &str)], body: &[u8]) -> String {
    let target = target("h", "/a");
    let digest = Digest::of(body);
    let headers = headers(list);
    let head = RequestHead { method: &Method::POST, target: &target, headers: &headers };
    let kept = BodyToKeep { bytes: Some(body), sha256: digest, size: body.len() as u64 };
    let json = input_json(head, &counts, kept);
    json.as_str().to_owned()
}

/// What is kept of a body.
fn kept(kind: &str, body: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Whole {
        body: Json,
    }
    let list = [("content-type", kind)];
    let list = if kind.is_empty() { &list[..0] } else { &list[..] };
    let whole: Whole = serde_json::from_str(&stored(list, body.as_bytes())).unwrap();
    let text = whole.body.as_str().to_owned();
    if text.starts_with("{\"sha256\":") { "digest".to_owned() } else { text }
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn a_request_is_kept_without_its_secrets() {
    let list = [
        ("content-type", JSON),
        ("authorization", "Bearer s3cret"),
        ("cookie", "s3cret"),
        ("x-api-key", "s3cret"),
        ("proxy-authorization", "Basic s3cret"),
        ("x-csrf-token", "s3cret"),
        ("dpop", "s3cret"),
        ("x-payment", "s3cret"),
        ("x-hub-token", "s3cret"),
        ("x-callback", "https://x/a?access_token=s3cret&b=1"),
        ("x-many", "1"),
        ("x-many", "2"),
        ("x-odd", "\u{e9}"),
        ("user-agent", "noise"),
    ];
    assert_eq!(
        stored(&list, br#"{"to":"ada","n":1.0, "password":"s3cret"}"#),
        r#"{"method":"POST","url":"http://h/a","headers":{"content-type":"application/json","x-callback":"https://x/a?access_token=[masked]&b=1","x-hub-token":"[masked]","x-many":["1","2"],"x-odd":"é"},"body":{"to":"ada","n":1.0, "password":"[masked]"}}"#
    );
}

#[test]
fn json_keeps_its_text() {
    for (body, want) in [
        (r#"{"n":123456789012345678901234567890,"f":1.00000000000000000001,"n":2}"#, ""),
        (r#"{ "b" : [ 1 , 2 ] }"#, ""),
        (r#"{"password":"x"}"#, r#"{"password":"[masked]"}"#),
        (
            r#"{"user":{"passWord" : "x" ,"id":7},"a":[{"api_key":"k"},{"api_key":"l"}]}"#,
            r#"{"user":{"passWord" : "[masked]" ,"id":7},"a":[{"api_key":"[masked]"},{"api_key":"[masked]"}]}"#,
        ),
        (r#"{"token":{"deep":["x",{"a":1}]},"z":1}"#, r#"{"token":"[masked]","z":1}"#),
        (r#"{"secrets":["x"],"pin":1234}"#, r#"{"secrets":"[masked]","pin":"[masked]"}"#),
        (
            r#"{"pass\u0077ord":"x","password":"y"}"#,
            r#"{"pass\u0077ord":"[masked]","password":"[masked]"}"#,
        ),
        (r#"{"password":null,"max_tokens":5}"#, ""),
        (
            r#"{"args":"{\"token\":\"x\"}","b":" { \"a\" : 1 } "}"#,
            r#"{"args":"[masked]","b":" { \"a\" : 1 } "}"#,
        ),
        (r#"["[{\"\\u0070assword\":1}]"]"#, r#"["[masked]"]"#),
        (
            r#"{"hook":"https://hooks.slack.com/services/T/B/s","at":" https:\/\/h\/?token=s"}"#,
            r#"{"hook":"[masked]","at":"[masked]"}"#,
        ),
        (r#"["{\"a\":\"http://u:s@h/\"}"]"#, r#"["[masked]"]"#),
        (
            r#"["see https://h/?token=s", "https://h/?b=1"]"#,
            r#"["see https://h/?token=[masked]", "https://h/?b=1"]"#,
        ),
        (r#"["{\"a\":\"{\\\"token\\\":1}\"}"]"#, r#"["[masked]"]"#),
        (r#"["\"{\\\"a\\\":{\\\"pin\\\":1}}\""]"#, r#"["[masked]"]"#),
        (r#"["{\"token\":\"\ud800\"}", "{\"token\": 1"]"#, r#"["[masked]", "[masked]"]"#),
        (r#"["my token: x", "[a token]", "{}", "{\"max_tokens\":1}", "\ud800"]"#, ""),
        ("[]", ""),
        ("\"text\"", ""),
        ("1e999", ""),
    ] {
        assert_eq!(kept(JSON, body), if want.is_empty() { body } else { want }, "{body}");
    }
    assert_eq!(kept(JSON, r#"{"\ud800":"x"}"#), "digest");
    assert_eq!(kept(JSON, "{"), "digest");
    assert_eq!(kept(JSON, &("[".repeat(128) + &"]".repeat(128))), "digest");
    let deep = "[".repeat(127) + &"]".repeat(127);
    assert_eq!(kept(JSON, &deep), deep);
}

#[test]
fn text_is_kept_where_it_names_no_secret() {
    for (kind, body, want) in [
        ("text/plain", "hello", "\"hello\""),
        ("text/plain", "my password is x", "digest"),
        ("application/xml", "<a>1</a>", "\"<a>1</a>\""),
        ("application/soap+xml", "<a>1</a>", "\"<a>1</a>\""),
        ("text/xml", "<user><apiKey>x</apiKey></user>", "digest"),
        ("application/x-ndjson", "{\"a\":1}\n{\"b\":2}", r#""{\"a\":1}\n{\"b\":2}""#),
        ("application/x-ndjson", "{\"a\":1}\n{\"token\":2}", "digest"),
        ("text/plain", r#"{"password":"x"}"#, r#""{\"password\":\"[masked]\"}""#),
        ("", r#"{"password":"x"}"#, r#""{\"password\":\"[masked]\"}""#),
        ("", "hello", "digest"),
        (FORM, r#"{"a":1}"#, r#""{\"a\":1}""#),
        (FORM, "a=1&password=x&b=", r#""a=1&password=[masked]&b=""#),
        (
            FORM,
            "p%61ssword=x&client_secret=y&key=k",
            r#""p%61ssword=[masked]&client_secret=[masked]&key=k""#,
        ),
        (FORM, "hook=https%3A%2F%2Fh%2F%3Fsig%3Ds&b=2", r#""hook=[masked]&b=2""#),
        (FORM, "a=1&payload={%22token%22:%22x%22}&b=2", r#""a=1&payload=[masked]&b=2""#),
        (FORM, "payload=%7B%22a%22%3A+%5B%7B%22token%22%3A1%7D%5D%7D", r#""payload=[masked]""#),
        (FORM, "payload=%7B%22a%22%3A1%7D&b=my+token", r#""payload=%7B%22a%22%3A1%7D&b=my+token""#),
        (FORM, "{\"password\":\"x\",}", "digest"),
        (FORM, "<password>a=b</password>", "digest"),
        ("application/octet-stream", "hello", "digest"),
        ("multipart/form-data; boundary=q", "--q\r\n\r\nx\r\n--q--", "digest"),
        ("text/plain", "", "null"),
    ] {
        assert_eq!(kept(kind, body), want, "{kind} {body}");
    }
}

#[test]
fn the_rest_is_a_digest() {
    let sha256 = Digest::of(b"hello");
    let want = format!("{{\"sha256\":\"{}\",\"size\":5}}", sha256.hex(32));
    let with = |list: &[(&str, &str)], body: Option<&[u8]>| {
        let (target, headers) = (target("h", "/"), headers(list));
        let head = RequestHead { method: &Method::POST, target: &target, headers: &headers };
        let kept = input_json(head, &counts, BodyToKeep { bytes: body, sha256, size: 5 });
        kept.as_str().contains(&want)
    };
    assert!(with(&[("content-type", "text/plain")], None));
    assert!(with(&[("content-type", "text/plain"), ("content-encoding", "gzip")], Some(b"hello")));
    assert!(with(&[("content-type", "text/plain")], Some(b"\xff\xfe")));
    assert!(!with(&[("content-type", "text/plain")], Some(b"hello")));
    assert_eq!(kept("text/plain", &"x".repeat(MAX_KEPT + 1)), "digest");
    assert_eq!(kept("text/plain", &"x".repeat(MAX_KEPT)).len(), MAX_KEPT + 2);
}

#[test]
fn urls_are_masked() {
    for (host, path, want) in [
        ("h", "/a?b=1&c", "http://h/a?b=1&c"),
        ("h", "/a?key=s&b=1", "http://h/a?key=[masked]&b=1"),
        ("h", "/a?Access%5Ftoken=s&sig=s", "http://h/a?Access%5Ftoken=[masked]&sig=[masked]"),
        (
            "h",
            "/a?X-Amz-Signature=s&X-Amz-Date=d",
            "http://h/a?X-Amz-Signature=[masked]&X-Amz-Date=d",
        ),
        ("h", "/a?key=", "http://h/a?key="),
        ("h", "/a?", "http://h/a?"),
        ("hooks.slack.com", "/services/T/B/s", "http://hooks.slack.com/[masked]"),
        ("hooks.slack.com", "/", "http://hooks.slack.com/"),
        (
            "discord.com",
            "/api/webhooks/1/s/slack?wait=1",
            "http://discord.com/api/webhooks/1/[masked]/slack?wait=1",
        ),
        (
            "ptb.discord.com",
            "/api/v10/webhooks/1/s?wait=1",
            "http://ptb.discord.com/api/v10/webhooks/1/[masked]?wait=1",
        ),
        (
            "canary.discordapp.com.",
            "/api/webhooks/1/s/messages/@original",
            "http://canary.discordapp.com./api/webhooks/1/[masked]/messages/@original",
        ),
        (
            "discord.com",
            "/api/v9/interactions/1/s/callback",
            "http://discord.com/api/v9/interactions/1/[masked]/callback",
        ),
        ("discord.com", "/api/v10/users/1/2", "http://discord.com/api/v10/users/1/2"),
        ("evildiscord.com", "/api/webhooks/1/2", "http://evildiscord.com/api/webhooks/1/2"),
        ("hooks.slack.com.", "/services/T", "http://hooks.slack.com./[masked]"),
        ("discord.com", "/api/webhooks/1", "http://discord.com/api/webhooks/1"),
        ("discord.com", "/api/users/1/2", "http://discord.com/api/users/1/2"),
        (
            "api.telegram.org",
            "/bot1:s/sendMessage",
            "http://api.telegram.org/bot[masked]/sendMessage",
        ),
        ("api.telegram.org", "/bot1:s", "http://api.telegram.org/bot[masked]"),
        ("x.webhook.office.com", "/webhookb2/s", "http://x.webhook.office.com/[masked]"),
        ("slack.com", "/services/T", "http://slack.com/services/T"),
    ] {
        assert_eq!(masked_url(&target(host, path)), want);
    }
}

#[test]
fn links_in_headers_are_masked() {
    for (value, want) in [
        ("https://x/?access_token=s&b=1", "https://x/?access_token=[masked]&b=1"),
        ("https://x/a#access_token=s", "https://x/a#access_token=[masked]"),
        ("https://u:s@x:8/a?b", "https://[masked]@x:8/a?b"),
        ("/a?token=s", "/a?token=[masked]"),
        ("https://hooks.slack.com:443/services/T/B/s", "https://hooks.slack.com:443/[masked]"),
        (
            "HTTPS://Discord.com/api/v10/webhooks/1/s",
            "HTTPS://Discord.com/api/v10/webhooks/1/[masked]",
        ),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("https://x", "https://x"),
        ("", ""),
        ("?", "?"),
        ("W/\"a\"", "W/\"a\""),
    ] {
        assert_eq!(super::super::url::masked_link(value), want);
    }
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1.0".to_owned()),
        Just("null".to_owned()),
        Just("\"s3cret \\\" } \"".to_owned())
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        let name = prop_oneof![Just("a"), Just("b\\u0063"), Just("d\\\"")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(" ,"))),
            prop::collection::vec((name, inner), 0..4).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(n, v)| format!("\"{n}\" : {v}")).collect();
                format!("{{ {} }}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn masking_touches_secrets_alone(before in value(), secret in value(), after in value()) {
        let text = |secret: &str| format!("{{\"x\":{before}, \"y\":[{{\"api_token\": {secret} }}],\"z\":{after}}}");
        let masked = |text: &str| json::masked(text).map(Cow::into_owned);
        prop_assert_eq!(masked(&before), Some(before.clone()));
        let want = if secret == "null" { text("null") } else { text("\"[masked]\"") };
        prop_assert_eq!(masked(&text(&secret)), Some(want));
    }

    #[test]
    fn whatever_comes_it_is_json(body in prop::collection::vec(any::<u8>(), 0..64), kind in 0..5_usize) {
        let kind = [JSON, FORM, "text/plain", "application/xml", "x/y"][kind];
        let text = stored(&[("content-type", kind)], &body);
        prop_assert!(Json::parse(text).is_ok());
    }
}
