//! Routes: an upstream behind a path of the proxy's own port.

use testkit::{Client, Engine, Request, Response, Upstream};

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

/// As a client sends it whose base URL is the route's.
fn by_route(engine: &Engine, request: &Request) -> Response {
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(request.to_origin()).unwrap();
    client.answer(&request.method).unwrap()
}

fn at(engine: &Engine, path: &str) -> String {
    format!("http://{}{path}", engine.proxy)
}

#[test]
fn the_same_call_by_any_road_is_one() {
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
    // A client that is given the proxy as its proxy too asks for the route in absolute form.
    engine.send(&routed).assert_is(200, "replayed");
    let authority = upstream.addr.to_string();
    let (mut tunnel, _) = Client::tunnel(engine.proxy, &authority, "").unwrap();
    tunnel.ask(&direct).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_redirect_is_passed_as_it_is() {
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
    // A name that was made to lead here is not the proxy's.
    let rebound =
        Request::post(&format!("http://evil.example:{}/to/mail/send", engine.proxy.port()), "a");
    assert_eq!(by_route(&engine, &rebound).status, 421);
    assert_eq!(upstream.hits(), 0);
    send("Origin", &format!("http://{}", engine.proxy)).assert_is(200, "executed");
}

#[test]
fn a_route_with_a_token_is_reached_with_it_alone() {
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
