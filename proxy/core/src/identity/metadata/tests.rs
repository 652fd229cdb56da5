use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            (name.parse::<HeaderName>().unwrap(), value)
        })
        .collect()
}

fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

#[test]
fn keys() {
    let long = "k".repeat(255);
    let too_long = "k".repeat(256);
    for (values, want) in [
        (&[][..], Ok(None)),
        (&["order-1"], Ok(Some("order-1"))),
        (&["\"order-1\""], Ok(Some("order-1"))),
        (&["\"\"a\"\""], Ok(Some("\"a\""))),
        (&["a b~!"], Ok(Some("a b~!"))),
        (&["\""], Ok(Some("\""))),
        (&[long.as_str()], Ok(Some(long.as_str()))),
        (&[""], Err(())),
        (&["\"\""], Err(())),
        (&["a", "a"], Err(())),
        (&["ä"], Err(())),
        (&["a\tb"], Err(())),
        (&[too_long.as_str()], Err(())),
    ] {
        let list: Vec<_> = values.iter().map(|value| ("idempotency-key", *value)).collect();
        let got = match read_metadata(&headers(&list), None, SessionTokens::Ignored) {
            Ok(metadata) => Ok(metadata.key),
            Err(Error::Malformed(_)) => Err(()),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(got, want.map(|key| key.map(str::to_owned)), "{values:?}");
    }
}

#[test]
fn scope_by_headers_and_credentials() {
    let session =
        |list: &[(&str, &str)]| match read_metadata(&headers(list), None, SessionTokens::Ignored) {
            Ok(metadata) => metadata.scope.session.unwrap_or_else(|| "-".to_owned()),
            Err(Error::Malformed(_)) => "malformed".to_owned(),
            Err(other) => format!("{other:?}"),
        };
    for (list, want) in [
        (&[][..], "-"),
        (&[("agent-session", "trip")], "trip"),
        (&[("agent-session", "Reise nach Köln")], "Reise nach Köln"),
        (&[("proxy-authorization", basic("trip:anything").as_str())], "trip"),
        (&[("proxy-authorization", basic("trip:").as_str())], "trip"),
        (&[("proxy-authorization", basic("trip:a:b").as_str()), ("agent-session", "trip")], "trip"),
        (
            &[("proxy-authorization", basic("trip:x").as_str()), ("agent-session", "other")],
            "malformed",
        ),
        (&[("proxy-authorization", basic(":x").as_str()), ("agent-session", "other")], "other"),
        (&[("proxy-authorization", "Bearer x"), ("agent-session", "other")], "other"),
        (&[("proxy-authorization", "Basic ***")], "malformed"),
        (&[("proxy-authorization", basic("no colon").as_str())], "malformed"),
        (&[("proxy-authorization", basic("a\nb:x").as_str())], "malformed"),
        (&[("agent-session", "a"), ("agent-session", "a")], "malformed"),
        (&[("agent-session", "")], "malformed"),
        (&[("agent-session", "x".repeat(256).as_str())], "malformed"),
        (&[("agent-goal", "not-an-id")], "malformed"),
        (&[("agent-user", "a"), ("agent-user", "b")], "malformed"),
        (&[("agent-repeat", "")], "malformed"),
        (&[("agent-run", "1"), ("agent-run", "2")], "malformed"),
        (&[("idempotency-retry-token", "1"), ("idempotency-retry-token", "1")], "malformed"),
    ] {
        assert_eq!(session(list), want, "{list:?}");
    }
    let goal = "0198c0de-0000-7000-8000-000000000001";
    let whole = read_metadata(
        &headers(&[
            ("agent-user", "ada"),
            ("agent-goal", goal),
            ("agent-run", "r1"),
            ("agent-repeat", "2"),
            ("idempotency-retry-token", "t"),
        ]),
        None,
        SessionTokens::Ignored,
    )
    .unwrap();
    assert_eq!(whole.scope.user.as_deref(), Some("ada"));
    assert_eq!(whole.scope.goal, Some(goal.parse().unwrap()));
    assert_eq!(
        (whole.run.as_deref(), whole.repeat.as_deref(), whole.retry_token.as_deref()),
        (Some("r1"), Some("2"), Some("t"))
    );
}

#[test]
fn scope_where_tokens_are_required() {
    let tunnel = ProxyCredentials::new("trip", "right");
    let wrong = ProxyCredentials::new("trip", "wrong");
    let (right, bad, other) = (basic("trip:right"), basic("trip:bad"), basic("other:right"));
    for (list, tunnel, want) in [
        (&[][..], None, "407"),
        (&[("proxy-authorization", right.as_str())], None, "trip"),
        (&[("proxy-authorization", bad.as_str())], None, "407"),
        (&[("proxy-authorization", other.as_str())], None, "407"),
        (&[("proxy-authorization", "Bearer right")], None, "407"),
        (&[("proxy-authorization", "Basic ***")], None, "407"),
        (&[], Some(&tunnel), "trip"),
        (&[], Some(&wrong), "407"),
        (&[("proxy-authorization", right.as_str())], Some(&tunnel), "trip"),
        (&[("proxy-authorization", bad.as_str())], Some(&tunnel), "407"),
        (&[("proxy-authorization", other.as_str())], Some(&tunnel), "400"),
        (&[("agent-session", "trip")], Some(&tunnel), "trip"),
        (&[("agent-session", "other")], Some(&tunnel), "403"),
        (&[("agent-user", "ada")], Some(&tunnel), "403"),
        (&[("agent-goal", "0198c0de-0000-7000-8000-000000000001")], Some(&tunnel), "403"),
    ] {
        let check = |session: &str, token: &str| session == "trip" && token == "right";
        let got = match read_metadata(&headers(list), tunnel, SessionTokens::Required(&check)) {
            Ok(metadata) => metadata.scope.session.unwrap(),
            Err(Error::Credentials(_)) => "407".to_owned(),
            Err(Error::Malformed(_)) => "400".to_owned(),
            Err(Error::Refused(_)) => "403".to_owned(),
            Err(other) => format!("{other:?}"),
        };
        assert_eq!(got, want, "{list:?} {tunnel:?}");
    }
}

#[test]
fn credentials_may_name_the_run() {
    let run = "0198c0de000070008000000000000001";
    let got = |user: &str, header: Option<&str>| {
        let credentials = basic(&format!("{user}:t"));
        let mut list = vec![("proxy-authorization", credentials.as_str())];
        list.extend(header.map(|run| ("agent-run", run)));
        // The token is over the text as written.
        let check = |of: &str, token: &str| of == user && token == "t";
        let metadata =
            read_metadata(&headers(&list), None, SessionTokens::Required(&check)).unwrap();
        (metadata.scope.session.unwrap(), metadata.run.unwrap_or_else(|| "-".to_owned()))
    };
    let pair = |session: &str, run: &str| (session.to_owned(), run.to_owned());
    assert_eq!(got(&format!("trip~{run}"), None), pair("trip", run));
    assert_eq!(got(&format!("a~b~{run}"), None), pair("a~b", run));
    assert_eq!(got(&format!("trip~{run}"), Some("own")), pair("trip", "own"));
    for name in ["trip~1", "trip~", &format!("~{run}"), &format!("trip~{}", run.to_uppercase())] {
        assert_eq!(got(name, None), pair(name, "-"));
    }
    let longest = "x".repeat(255);
    assert_eq!(got(&format!("{longest}~{run}"), None), pair(&longest, run));
}

#[test]
fn a_token_is_never_shown() {
    let credentials = ProxyCredentials::new("trip", "hunter2");
    assert_eq!(format!("{credentials:?}"), "trip:[redacted]");
}

proptest! {
    #[test]
    fn no_header_makes_it_panic(key in prop::collection::vec(any::<u8>(), 0..40), auth in "(Basic |basic|)[A-Za-z0-9+/=]{0,24}") {
        let mut map = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&key) {
            map.insert("idempotency-key", value);
        }
        map.insert("proxy-authorization", HeaderValue::from_str(&auth).unwrap());
        if let Ok(metadata) = read_metadata(&map, None, SessionTokens::Ignored)
            && let Some(key) = metadata.key
        {
            prop_assert!((1..=255).contains(&key.len()));
        }
    }
}
