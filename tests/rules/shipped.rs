//! The shipped table of upstreams that honour keys, with the real hosts' names: an upstream proxy of the
//! test connects their tunnels to an upstream of the test.

use std::fs;

use testkit::{Ending, Engine, Received, Request, Response, TestCa, Trusting, Upstream, engine};

/// A service under its real name, which an engine intercepts.
struct Service {
    engine: Engine,
    upstream: Upstream,
    host: &'static str,
}

impl Service {
    /// The service loses its first answer. `toml`: the engine's configuration.
    fn new(host: &'static str, toml: &str) -> Self {
        let lost = std::sync::atomic::AtomicBool::new(false);
        let upstream = Upstream::start(move |_, exchange| {
            if lost.swap(true, std::sync::atomic::Ordering::SeqCst) {
                exchange.answer(200, &[], b"paid");
            } else {
                exchange.close();
            }
        });
        let ca = TestCa::new();
        let secured = ca.sign(&[host]).before(upstream.addr, Ending::Clean);
        let theirs = Upstream::forward_proxy(secured);
        let builder = engine!();
        let file = builder.home().join("engine.toml");
        fs::write(&file, toml).unwrap();
        let engine = builder
            .arg("--config")
            .arg(file)
            .arg("--intercept")
            .arg(host)
            .arg("--upstream-ca")
            .arg(ca.file())
            .arg("--upstream-proxy")
            .arg(format!("http://{}", theirs.addr))
            .start();
        Self { engine, upstream, host }
    }

    fn request(&self, path: &str) -> Request {
        Request::post_json(&format!("https://{}{path}", self.host), r#"{"amount":1}"#)
    }

    fn send(&self, request: &Request) -> Response {
        let client = Trusting::new(&self.engine.ca_pem(), &["http/1.1"]);
        let authority = format!("{}:443", self.host);
        client.tunnel(self.engine.proxy, &authority, self.host, "").unwrap().0.ask(request)
    }

    /// The key in each request to the upstream.
    fn got(&self, key: impl Fn(&Received) -> Option<String>) -> Vec<Option<String>> {
        self.upstream.received().iter().map(key).collect()
    }
}

fn in_header(name: &'static str) -> impl Fn(&Received) -> Option<String> {
    move |request| request.header(name).map(str::to_owned)
}

fn in_body(request: &Received) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    body["idempotency_key"].as_str().map(str::to_owned)
}

/// A lost answer is fetched by a repeat with the same key, at the place where the service reads it.
#[track_caller]
fn assert_settles(
    host: &'static str,
    path: &str,
    rule: &str,
    key: impl Fn(&Received) -> Option<String>,
) {
    let service = Service::new(host, "");
    let request = service.request(path);
    service.send(&request).assert_problem(502, "upstream-failed");
    let found = service.send(&request);
    found.assert_is(200, "executed");
    assert_eq!((found.text().as_str(), found.parameter("attempt")), ("paid", Some("2")));
    service.send(&request).assert_is(200, "replayed");
    let id = found.header("agent-execution-id").map(str::to_owned);
    assert!(id.is_some());
    assert_eq!(service.got(key), [id.clone(), id], "{host}");
    let recorded = service.engine.proxied();
    assert_eq!((recorded.len(), recorded[0]["rule"].as_str()), (1, Some(rule)), "{recorded:#?}");
}

#[test]
fn a_lost_answer_of_a_known_service_is_fetched_with_the_same_key() {
    assert_settles("api.stripe.com", "/v1/charges", "keyed stripe", in_header("idempotency-key"));
    let paypal = in_header("paypal-request-id");
    assert_settles("api-m.paypal.com", "/v2/checkout/orders", "keyed paypal-orders", paypal);
    assert_settles("connect.squareup.com", "/v2/payments", "keyed square", in_body);
}

#[test]
fn the_clients_own_key_is_not_changed() {
    let service = Service::new("api.stripe.com", "");
    let request = service.request("/v1/charges").header("Idempotency-Key", "own");
    service.send(&request).assert_problem(502, "upstream-failed");
    service.send(&request).assert_is(200, "executed");
    let own = Some("own".to_owned());
    assert_eq!(service.got(in_header("idempotency-key")), [own.clone(), own]);
}

#[test]
fn without_the_table_a_lost_answer_is_in_doubt() {
    let service = Service::new("api.stripe.com", "[proxy]\nkeyed_table = false\n");
    let request = service.request("/v1/charges");
    service.send(&request).assert_problem(502, "upstream-failed");
    service.send(&request).assert_problem(424, "in-doubt");
    assert_eq!(service.got(in_header("idempotency-key")), [None]);
}
