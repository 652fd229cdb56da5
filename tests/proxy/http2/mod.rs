//! HTTP/2 on either side of the engine: what the end of an upstream's stream proves, and that a call is
//! the same over either version.

mod client;
mod frames;
mod undelivered;
mod upstream;

use std::net::SocketAddr;

use frames::Http2;
use testkit::{Client, Ending, Engine, Response, TestCa, Trusting, Upstream, engine};

fn intercepting(ca: &TestCa) -> Engine {
    engine!().arg("--intercept").arg("localhost").arg("--upstream-ca").arg(ca.file()).start()
}

fn tunnel(engine: &Engine, to: SocketAddr) -> Client {
    let client = Trusting::new(&engine.ca_pem(), &["http/1.1"]);
    let authority = format!("localhost:{}", to.port());
    client.tunnel(engine.proxy, &authority, "localhost", "").unwrap().0
}

fn post(engine: &Engine, upstream: &Http2, body: &str) -> Response {
    tunnel(engine, upstream.addr).ask(&testkit::Request::post(&upstream.url("/act"), body))
}

/// An echo behind TLS that only speaks HTTP/1.1.
fn echo(ca: &TestCa) -> (Upstream, SocketAddr) {
    let upstream = Upstream::echo();
    let secured = ca.sign(&["localhost"]).before(upstream.addr, Ending::Clean);
    (upstream, secured)
}
