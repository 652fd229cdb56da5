use http::header::HeaderValue;

use super::*;

fn route(to: &str, token: Option<&str>) -> Result<Route, String> {
    let settings = RouteSettings {
        name: "mail".to_owned(),
        to: to.to_owned(),
        token: token.map(str::to_owned),
    };
    settings.try_into()
}

fn found(to: &str, token: Option<&str>, path: &str, headers: &HeaderMap) -> Result<String, Error> {
    let routes = [route(to, token).unwrap()];
    let own = |authority: &Authority| authority.to_string() == "127.0.0.1:3031";
    resolve(&routes, path, headers, &own).map(|target| target.url())
}

#[test]
fn a_route_is_the_target_that_it_stands_for() {
    let none = HeaderMap::new();
    let url = |to, path| found(to, None, path, &none).unwrap();
    let api = "https://API.example.com/base/";
    assert_eq!(url(api, "/to/mail/send?a=%2F&b"), "https://api.example.com/base/send?a=%2F&b");
    assert_eq!(url(api, "/to/mail"), "https://api.example.com/base");
    assert_eq!(url(api, "/to/mail/"), "https://api.example.com/base/");
    assert_eq!(url("http://h:81", "/to/mail"), "http://h:81/");
    assert_eq!(url("http://h:81", "/to/mail?x"), "http://h:81/?x");
    assert_eq!(url("http://h:81/", "/to/mail/a//b%20c"), "http://h:81/a//b%20c");
    assert_eq!(url("http://h/", "/to/mail/a..b/...%2f..c"), "http://h/a..b/...%2f..c");
}

#[test]
fn a_token_comes_before_the_name() {
    let token = Some("0123456789abcdef");
    let none = HeaderMap::new();
    let url = |path| found("http://h", token, path, &none);
    assert_eq!(url("/to/0123456789abcdef/mail/x").unwrap(), "http://h/x");
    for path in ["/to/mail/x", "/to/0123456789abcdee/mail/x", "/to/0123456789abcdef", "/to/"] {
        let error = url(path).unwrap_err();
        assert!(matches!(&error, Error::UnknownRoute(_)), "{path}");
        assert!(!error.to_string().contains("0123"), "{error}");
    }
}

#[test]
fn pages_and_climbers_are_refused() {
    let with = |name: &'static str, value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        found("http://h/base", None, "/to/mail/x", &headers).is_ok()
    };
    assert!(with("origin", "http://127.0.0.1:3031"));
    assert!(with("sec-fetch-site", "none"));
    for origin in ["null", "https://evil.example", "http://127.0.0.1", "https://127.0.0.1:3031"] {
        assert!(!with("origin", origin), "{origin}");
    }
    assert!(!with("sec-fetch-site", "cross-site"));
    assert!(!with("sec-fetch-site", "same-site"));
    for path in [
        "/to/mail/../x",
        "/to/mail/a/%2e%2E/x",
        "/to/mail/.%2e",
        "/to/mail/..%2fx",
        "/to/mail/a%2F..%5cx",
        "/to/mail/..\\x",
        "/to/mail/..;a=b/x",
    ] {
        let error = found("http://h/base", None, path, &HeaderMap::new()).unwrap_err();
        assert!(matches!(error, Error::Malformed(_)), "{path}");
    }
}

#[test]
fn a_refused_upstream_gets_an_example_of_a_right_one() {
    for to in
        ["api.example.com", "ftp://h", "https://", "https://u@h", "http://h/a?b", "http://h:0"]
    {
        assert!(route(to, None).unwrap_err().contains("https://api.example.com"), "{to}");
    }
    assert!(route("http://h", Some("short")).is_err());
}
