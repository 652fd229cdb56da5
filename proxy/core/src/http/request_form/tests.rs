use base64::prelude::{BASE64_STANDARD, Engine as _};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Version};
use proptest::prelude::*;

use super::*;

fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            (name.parse::<HeaderName>().unwrap(), value)
        })
        .collect()
}

/// The form in one word and its target, or the error's name.
fn told(result: Result<Form, Error>) -> String {
    match result {
        Ok(Form::Forward(target)) => format!("forward {} {}", target.authority, target.url()),
        Ok(Form::Own { path_and_query }) => format!("own {path_and_query}"),
        Ok(Form::Tunnel(authority)) => format!("tunnel {authority}"),
        Ok(Form::Options) => "options".to_owned(),
        Err(Error::Malformed(_)) => "malformed".to_owned(),
        Err(Error::Unsupported(_)) => "unsupported".to_owned(),
        Err(Error::Misdirected(_)) => "misdirected".to_owned(),
        Err(other) => format!("{other:?}"),
    }
}

fn own(authority: &Authority) -> bool {
    ["127.0.0.1", "localhost", "[::1]"].contains(&authority.host.as_str()) && authority.port == 3031
}

#[test]
fn a_target_outside_a_tunnel() {
    let host = [("host", "evil.example")];
    for (method, uri, headers, want) in [
        (
            "POST",
            "http://Tool.Example/a?b=1",
            &host[..],
            "forward tool.example:80 http://tool.example/a?b=1",
        ),
        ("POST", "http://tool.example:80/a", &[], "forward tool.example:80 http://tool.example/a"),
        (
            "POST",
            "http://tool.example:8080/a",
            &[],
            "forward tool.example:8080 http://tool.example:8080/a",
        ),
        ("POST", "http://tool.example", &[], "forward tool.example:80 http://tool.example/"),
        (
            "POST",
            "http://tool.example?x=/y",
            &[],
            "forward tool.example:80 http://tool.example/?x=/y",
        ),
        (
            "GET",
            "http://[::1]:81/%2F/../%zz?%e9",
            &[],
            "forward [::1]:81 http://[::1]:81/%2F/../%zz?%e9",
        ),
        (
            "GET",
            "http://127.0.0.1:3031/other",
            &[],
            "forward 127.0.0.1:3031 http://127.0.0.1:3031/other",
        ),
        ("POST", "http://127.0.0.1:3031/confirm/T", &[], "own /confirm/T"),
        ("POST", "http://localhost:3031/confirm/T?x", &[], "own /confirm/T?x"),
        (
            "POST",
            "http://tool.example/confirm/T",
            &[],
            "forward tool.example:80 http://tool.example/confirm/T",
        ),
        ("POST", "/confirm/T", &[("host", "LOCALHOST:3031")], "own /confirm/T"),
        ("GET", "/", &[("host", "127.0.0.1:3031")], "own /"),
        ("GET", "/", &[("host", "127.0.0.1:3030")], "misdirected"),
        ("GET", "/", &host, "misdirected"),
        ("GET", "/", &[], "misdirected"),
        ("GET", "/", &[("host", "a b")], "malformed"),
        ("GET", "/", &[("host", "127.0.0.1:99999")], "malformed"),
        ("GET", "/", &[("host", "me@127.0.0.1:3031")], "malformed"),
        ("GET", "/", &[("host", "127.0.0.1:3031"), ("host", "127.0.0.1:3031")], "malformed"),
        ("GET", "http://tool.example/", &[("host", "a"), ("host", "b")], "malformed"),
        ("OPTIONS", "*", &[], "options"),
        ("GET", "*", &[], "malformed"),
        ("GET", "tool.example:80", &[], "malformed"),
        ("POST", "http://user:pw@tool.example/", &[], "malformed"),
        ("POST", "http://user@tool.example/", &[], "malformed"),
        ("POST", "http://tool.example:0/", &[], "malformed"),
        ("POST", "http://tool.example:65536/", &[], "malformed"),
        ("POST", "http://[::x]/", &[], "malformed"),
        ("POST", "https://tool.example/", &[], "unsupported"),
        ("GET", "ws://tool.example/", &[], "unsupported"),
        ("GET", "ftp://tool.example/", &[], "unsupported"),
        ("TRACE", "http://tool.example/", &[], "unsupported"),
        ("CONNECT", "Tool.example:443", &[], "tunnel tool.example:443"),
        ("CONNECT", "[::1]:80", &[], "tunnel [::1]:80"),
        ("CONNECT", "tool.example", &[], "malformed"),
        ("CONNECT", "tool.example:", &[], "malformed"),
        ("CONNECT", "user@tool.example:443", &[], "malformed"),
        ("CONNECT", "tool.example:443", &[("host", "a"), ("host", "b")], "malformed"),
        ("CONNECT", "http://tool.example:443/", &[], "malformed"),
    ] {
        assert_eq!(
            told(form(&parts(method, uri, headers), None, &own)),
            want,
            "{method} {uri} {headers:?}"
        );
    }
    let mut old = parts("CONNECT", "tool.example:443", &[]);
    old.version = Version::HTTP_10;
    assert_eq!(told(form(&old, None, &own)), "tunnel tool.example:443");
}

#[test]
fn a_target_inside_a_tunnel() {
    let tunnel = Authority { host: "tool.example".to_owned(), port: 80 };
    let odd = Authority { host: "tool.example".to_owned(), port: 8080 };
    let ours = Authority { host: "127.0.0.1".to_owned(), port: 3031 };
    for (authority, method, uri, host, want) in [
        (
            &tunnel,
            "POST",
            "/a?b",
            Some("tool.example"),
            "forward tool.example:80 http://tool.example/a?b",
        ),
        (
            &tunnel,
            "POST",
            "/a",
            Some("TOOL.example:80"),
            "forward tool.example:80 http://tool.example/a",
        ),
        (&tunnel, "POST", "/a", None, "forward tool.example:80 http://tool.example/a"),
        (
            &tunnel,
            "POST",
            "http://tool.example/a",
            None,
            "forward tool.example:80 http://tool.example/a",
        ),
        (&tunnel, "POST", "/a", Some("other.example"), "misdirected"),
        (&tunnel, "POST", "/a", Some("tool.example:8080"), "misdirected"),
        (&odd, "POST", "/a", Some("tool.example"), "misdirected"),
        (
            &odd,
            "POST",
            "/a",
            Some("tool.example:8080"),
            "forward tool.example:8080 http://tool.example:8080/a",
        ),
        (&tunnel, "POST", "http://other.example/a", None, "misdirected"),
        (&tunnel, "POST", "https://tool.example/a", None, "unsupported"),
        (
            &tunnel,
            "OPTIONS",
            "*",
            Some("tool.example"),
            "forward tool.example:80 http://tool.example*",
        ),
        (&tunnel, "CONNECT", "tool.example:80", None, "unsupported"),
        (&ours, "POST", "/confirm/T", Some("127.0.0.1:3031"), "own /confirm/T"),
        (
            &ours,
            "GET",
            "/a",
            Some("127.0.0.1:3031"),
            "forward 127.0.0.1:3031 http://127.0.0.1:3031/a",
        ),
    ] {
        let host: Vec<_> = host.map(|host| ("host", host)).into_iter().collect();
        let told = told(form(&parts(method, uri, &host), Some((&Scheme::Http, authority)), &own));
        assert_eq!(told, want, "{authority} {method} {uri} {host:?}");
    }
    let tls = Authority { host: "tool.example".to_owned(), port: 443 };
    let inner = parts("POST", "/a", &[("host", "tool.example")]);
    assert_eq!(
        told(form(&inner, Some((&Scheme::Https, &tls)), &own)),
        "forward tool.example:443 https://tool.example/a"
    );
}

#[test]
fn a_target_keeps_its_bytes() {
    let Ok(Form::Forward(target)) =
        form(&parts("GET", "http://h/a%2Fb;c?x=%zz&y=a?b", &[]), None, &own)
    else {
        panic!("it is to be forwarded");
    };
    assert_eq!((target.path(), target.query()), ("/a%2Fb;c", Some("x=%zz&y=a?b")));
    let Ok(Form::Forward(target)) = form(&parts("GET", "http://h/a?", &[]), None, &own) else {
        panic!("it is to be forwarded");
    };
    assert_eq!(
        (target.path(), target.query(), target.path_and_query.as_str()),
        ("/a", Some(""), "/a?")
    );
}

#[test]
fn framing() {
    for (list, want) in [
        (&[][..], "ok"),
        (&[("transfer-encoding", "chunked")], "ok"),
        (&[("transfer-encoding", "Chunked")], "ok"),
        (&[("content-length", "12")], "ok"),
        (&[("content-length", "12"), ("content-length", "12")], "ok"),
        (&[("transfer-encoding", "gzip, chunked")], "unsupported"),
        (&[("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")], "unsupported"),
        (&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], "unsupported"),
        (&[("transfer-encoding", "xchunked")], "unsupported"),
        (&[("transfer-encoding", "")], "unsupported"),
        (&[("content-length", "12"), ("content-length", "13")], "malformed"),
        (&[("content-length", "2, 2")], "malformed"),
        (&[("content-length", "+2")], "malformed"),
        (&[("content-length", "")], "malformed"),
    ] {
        let told = match check_framing(&parts("POST", "http://h/", list)) {
            Ok(()) => "ok",
            Err(Error::Unsupported(_)) => "unsupported",
            Err(Error::Malformed(_)) => "malformed",
            Err(_) => "other",
        };
        assert_eq!(told, want, "{list:?}");
    }
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
        let got = match asked(&headers(&list), None, false, &|_, _| false) {
            Ok(asked) => Ok(asked.key),
            Err(Error::Malformed(_)) => Err(()),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(got, want.map(|key| key.map(str::to_owned)), "{values:?}");
    }
}

#[test]
fn scope_by_headers_and_credentials() {
    let session = |list: &[(&str, &str)]| match asked(&headers(list), None, false, &|_, _| false) {
        Ok(asked) => asked.scope.session.unwrap_or_else(|| "-".to_owned()),
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
    let whole = asked(
        &headers(&[
            ("agent-user", "ada"),
            ("agent-goal", goal),
            ("agent-run", "r1"),
            ("agent-repeat", "2"),
            ("idempotency-retry-token", "t"),
        ]),
        None,
        false,
        &|_, _| false,
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
        let told = match asked(&headers(list), tunnel, true, &check) {
            Ok(asked) => asked.scope.session.unwrap(),
            Err(Error::Credentials(_)) => "407".to_owned(),
            Err(Error::Malformed(_)) => "400".to_owned(),
            Err(Error::Refused(_)) => "403".to_owned(),
            Err(other) => format!("{other:?}"),
        };
        assert_eq!(told, want, "{list:?} {tunnel:?}");
    }
}

#[test]
fn credentials_may_name_the_run() {
    let run = "0198c0de000070008000000000000001";
    let told = |user: &str, header: Option<&str>| {
        let credentials = basic(&format!("{user}:t"));
        let mut list = vec![("proxy-authorization", credentials.as_str())];
        list.extend(header.map(|run| ("agent-run", run)));
        // The token is over the text as written.
        let check = |of: &str, token: &str| of == user && token == "t";
        let asked = asked(&headers(&list), None, true, &check).unwrap();
        (asked.scope.session.unwrap(), asked.run.unwrap_or_else(|| "-".to_owned()))
    };
    let pair = |session: &str, run: &str| (session.to_owned(), run.to_owned());
    assert_eq!(told(&format!("trip~{run}"), None), pair("trip", run));
    assert_eq!(told(&format!("a~b~{run}"), None), pair("a~b", run));
    assert_eq!(told(&format!("trip~{run}"), Some("own")), pair("trip", "own"));
    for name in ["trip~1", "trip~", &format!("~{run}"), &format!("trip~{}", run.to_uppercase())] {
        assert_eq!(told(name, None), pair(name, "-"));
    }
    let longest = "x".repeat(255);
    assert_eq!(told(&format!("{longest}~{run}"), None), pair(&longest, run));
}

#[test]
fn a_token_is_never_shown() {
    let credentials = ProxyCredentials::new("trip", "hunter2");
    assert_eq!(format!("{credentials:?}"), "trip:[redacted]");
}

proptest! {
    #[test]
    fn no_authority_makes_it_panic(text in "[a-zA-Z0-9:.@%\\[\\]-]{0,20}", port in any::<bool>()) {
        if let Ok(authority) = Authority::parse(text.as_bytes(), port.then_some(80)) {
            prop_assert_eq!(Authority::parse(authority.to_string().as_bytes(), None).unwrap(), authority);
        }
    }

    #[test]
    fn no_header_makes_it_panic(key in prop::collection::vec(any::<u8>(), 0..40), auth in "(Basic |basic|)[A-Za-z0-9+/=]{0,24}") {
        let mut map = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&key) {
            map.insert("idempotency-key", value);
        }
        map.insert("proxy-authorization", HeaderValue::from_str(&auth).unwrap());
        if let Ok(asked) = asked(&map, None, false, &|_, _| false)
            && let Some(key) = asked.key
        {
            prop_assert!((1..=255).contains(&key.len()));
        }
    }
}
