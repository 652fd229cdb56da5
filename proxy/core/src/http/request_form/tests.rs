use http::{Request, Version};
use proptest::prelude::*;

use super::*;

fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// The form in one word and its target, or the error's name.
fn shown(result: Result<TargetForm, Error>) -> String {
    match result {
        Ok(TargetForm::Forward(target)) => format!("forward {} {}", target.authority, target.url()),
        Ok(TargetForm::Own { path_and_query }) => format!("own {path_and_query}"),
        Ok(TargetForm::Tunnel(authority)) => format!("tunnel {authority}"),
        Ok(TargetForm::Options) => "options".to_owned(),
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
            shown(read_target(&parts(method, uri, headers), None, &own)),
            want,
            "{method} {uri} {headers:?}"
        );
    }
    let mut old = parts("CONNECT", "tool.example:443", &[]);
    old.version = Version::HTTP_10;
    assert_eq!(shown(read_target(&old, None, &own)), "tunnel tool.example:443");
}

#[test]
fn a_target_inside_a_tunnel() {
    let tunnel = Authority::new("tool.example", 80);
    let odd = Authority::new("tool.example", 8080);
    let ours = Authority::new("127.0.0.1", 3031);
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
        let got =
            shown(read_target(&parts(method, uri, &host), Some((&Scheme::Http, authority)), &own));
        assert_eq!(got, want, "{authority} {method} {uri} {host:?}");
    }
    let tls = Authority::new("tool.example", 443);
    let inner = parts("POST", "/a", &[("host", "tool.example")]);
    assert_eq!(
        shown(read_target(&inner, Some((&Scheme::Https, &tls)), &own)),
        "forward tool.example:443 https://tool.example/a"
    );
}

#[test]
fn a_target_keeps_its_bytes() {
    let Ok(TargetForm::Forward(target)) =
        read_target(&parts("GET", "http://h/a%2Fb;c?x=%zz&y=a?b", &[]), None, &own)
    else {
        panic!("it is to be forwarded");
    };
    assert_eq!((target.path(), target.query()), ("/a%2Fb;c", Some("x=%zz&y=a?b")));
    let Ok(TargetForm::Forward(target)) =
        read_target(&parts("GET", "http://h/a?", &[]), None, &own)
    else {
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
        let got = match check_framing(&parts("POST", "http://h/", list)) {
            Ok(()) => "ok",
            Err(Error::Unsupported(_)) => "unsupported",
            Err(Error::Malformed(_)) => "malformed",
            Err(_) => "other",
        };
        assert_eq!(got, want, "{list:?}");
    }
}

proptest! {
    #[test]
    fn no_authority_makes_it_panic(text in "[a-zA-Z0-9:.@%\\[\\]-]{0,20}", port in any::<bool>()) {
        if let Ok(authority) = Authority::parse(text.as_bytes(), port.then_some(80)) {
            prop_assert_eq!(Authority::parse(authority.to_string().as_bytes(), None).unwrap(), authority);
        }
    }
}
