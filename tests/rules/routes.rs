//! Routes: an upstream behind a path of the proxy's own port.

use std::fs;

use testkit::{Client, Ending, Engine, Request, Response, TestCa, Trusting, Upstream, engine};

use super::{configured, fine};

const ROUTES: &str = r#"
[[route]]
name = "mail"
to = "http://UPSTREAM/v1"

[[route]]
name = "bank"
to = "http://UPSTREAM"
token = "0123456789abcdef0123456789abcdef"
"#;

/// Sends `request` as a client does whose base URL is the route's.
fn by_route(engine: &Engine, request: &Request) -> Response {
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(request.to_origin()).unwrap();
    client.answer(&request.method).unwrap()
}

fn at(engine: &Engine, path: &str) -> String {
    format!("http://{}{path}", engine.proxy)
}

#[test]
fn the_same_call_on_any_path_is_one_call() {
    let upstream = fine();
    let engine = configured(&upstream, ROUTES).start();
    let body = "to=ada";
    let routed = Request::post(&at(&engine, "/to/mail/send?a=%2F"), body);
    by_route(&engine, &routed).assert_is(200, "executed");
    let seen = upstream.only();
    assert_eq!(
        (seen.target(), seen.header("host")),
        ("/v1/send?a=%2F", Some(upstream.addr.to_string().as_str()))
    );

    let direct = Request::post(&upstream.url("/v1/send?a=%2F"), body);
    engine.send(&direct).assert_is(200, "replayed");
    // A client that also uses the engine as its proxy requests the route in absolute form.
    engine.send(&routed).assert_is(200, "replayed");
    let authority = upstream.addr.to_string();
    let (mut tunnel, _) = Client::tunnel(engine.proxy, &authority, "").unwrap();
    tunnel.ask(&direct).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 1);
}

/// A route to an upstream behind TLS that has a certificate of `ca` for `names`.
fn secured(upstream: &Upstream, ca: &TestCa, names: &[&str]) -> (Engine, String) {
    let port = ca.sign(names).before(upstream.addr, Ending::Clean).port();
    let authority = format!("localhost:{port}");
    let builder = engine!().arg("--intercept").arg("localhost").arg("--upstream-ca").arg(ca.file());
    let file = builder.home().join("engine.toml");
    fs::write(&file, format!("[[route]]\nname = \"mail\"\nto = \"https://{authority}/v1\"\n"))
        .unwrap();
    (builder.arg("--config").arg(file).start(), authority)
}

#[test]
fn a_call_by_a_route_to_https_is_the_same_as_in_an_intercepted_tunnel() {
    let upstream = fine();
    let ca = TestCa::new();
    let (engine, authority) = secured(&upstream, &ca, &["localhost"]);
    let routed = Request::post(&at(&engine, "/to/mail/send?a=%2F"), "to=ada");
    by_route(&engine, &routed).assert_is(200, "executed");
    let seen = upstream.only();
    assert_eq!((seen.target(), seen.header("host")), ("/v1/send?a=%2F", Some(authority.as_str())));
    let client = Trusting::new(&engine.ca_pem(), &["http/1.1"]);
    let (mut tunnel, _) = client.tunnel(engine.proxy, &authority, "localhost", "").unwrap();
    let inside = Request::post(&format!("https://{authority}/v1/send?a=%2F"), "to=ada");
    tunnel.ask(&inside).assert_is(200, "replayed");
    let engine = engine.kill_and_restart();
    let routed = Request::post(&at(&engine, "/to/mail/send?a=%2F"), "to=ada");
    by_route(&engine, &routed).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_route_to_a_wrong_certificate_sends_nothing() {
    let upstream = fine();
    let (engine, _) = secured(&upstream, &TestCa::new(), &["elsewhere.example"]);
    let refused = by_route(&engine, &Request::post(&at(&engine, "/to/mail/send"), "a"));
    refused.assert_problem(502, "upstream-failed");
    assert_eq!(refused.json()["sent"], "never");
    assert_eq!(upstream.hits(), 0);
    assert_eq!(engine.proxied()[0]["outcome"], "not_executed");
}

#[test]
fn a_redirect_is_passed_unchanged() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.answer(303, &[("Location", "/v1/sent/7")], b"");
    });
    let engine = configured(&upstream, ROUTES).start();
    let answer = by_route(&engine, &Request::post(&at(&engine, "/to/mail/send"), "a"));
    answer.assert_is(303, "executed");
    assert_eq!(answer.header("location"), Some("/v1/sent/7"));
}

#[test]
fn a_web_page_reaches_no_route() {
    let upstream = fine();
    let engine = configured(&upstream, ROUTES).start();
    let send = |name: &str, value: &str| {
        let request = Request::post(&at(&engine, "/to/mail/send"), "a").header(name, value);
        by_route(&engine, &request)
    };
    send("Origin", "https://evil.example").assert_problem(403, "refused");
    send("Origin", "null").assert_problem(403, "refused");
    send("Sec-Fetch-Site", "cross-site").assert_problem(403, "refused");
    // A host name that only resolves to this address is not the proxy's name.
    let rebound =
        Request::post(&format!("http://evil.example:{}/to/mail/send", engine.proxy.port()), "a");
    assert_eq!(by_route(&engine, &rebound).status, 421);
    assert_eq!(upstream.hits(), 0);
    send("Origin", &format!("http://{}", engine.proxy)).assert_is(200, "executed");
}

#[test]
fn a_route_with_a_token_is_reached_only_with_it() {
    let upstream = fine();
    let engine = configured(&upstream, ROUTES).start();
    let send = |path: &str| by_route(&engine, &Request::post(&at(&engine, path), "a"));
    for path in ["/to/bank/pay", "/to/0123456789abcdef0123456789abcdeX/bank/pay", "/to/nobody/x"] {
        let refused = send(path);
        refused.assert_problem(404, "unknown-route");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("there are mail") && !detail.contains("0123"), "{detail}");
    }
    assert_eq!(upstream.hits(), 0);
    send("/to/0123456789abcdef0123456789abcdef/bank/pay").assert_is(200, "executed");
    assert_eq!(upstream.only().target(), "/pay");
    assert!(!engine.log().contains("0123456789abcdef"));
}
