//! TLS to upstreams and interception: what is verified, what is guarded, and what the CA can do.

mod authority;
mod calls;
mod verified;

use std::net::SocketAddr;

use testkit::{Builder, Client, Ending, Engine, Request, TestCa, Trusting, Upstream, engine};

/// An upstream behind TLS with a certificate of a CA of the test, and an engine that intercepts it.
struct Bed {
    engine: Engine,
    upstream: Upstream,
    secured: SocketAddr,
}

impl Bed {
    fn new(upstream: Upstream) -> Self {
        Self::with(upstream, Ending::Clean, |builder| builder)
    }

    fn with(upstream: Upstream, ending: Ending, change: impl Fn(Builder) -> Builder) -> Self {
        let ca = TestCa::new();
        let secured = ca.sign(&["localhost"]).before(upstream.addr, ending);
        let builder =
            engine!().arg("--intercept").arg("localhost").arg("--upstream-ca").arg(ca.file());
        Self { engine: change(builder).start(), upstream, secured }
    }

    fn authority(&self) -> String {
        format!("localhost:{}", self.secured.port())
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.authority())
    }

    /// A client that trusts the engine's CA, in a new tunnel.
    fn tunnel(&self) -> Client {
        let client = trusting(&self.engine);
        client.tunnel(self.engine.proxy, &self.authority(), "localhost", "").unwrap().0
    }

    fn post(&self, path: &str, body: &str) -> testkit::Response {
        self.tunnel().ask(&Request::post(&self.url(path), body))
    }
}

fn trusting(engine: &Engine) -> Trusting {
    Trusting::new(&engine.ca_pem(), &["http/1.1"])
}

fn path(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}
