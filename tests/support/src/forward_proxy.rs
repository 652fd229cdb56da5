//! Somebody else's forward proxy, for calls that go out through one.

use std::io::copy;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use crate::upstream::{Exchange, Received, Upstream};

impl Upstream {
    /// A proxy that answers clear HTTP with the request target, and connects every tunnel to `tool`,
    /// except those to hosts that begin with `refused`.
    pub fn forward_proxy(tool: SocketAddr) -> Self {
        Self::start(move |request, exchange| match request.method() {
            "CONNECT" => tunnel(request, exchange, tool),
            _ => exchange.answer(200, &[], request.target().as_bytes()),
        })
    }
}

fn tunnel(request: &Received, exchange: &mut Exchange, tool: SocketAddr) {
    if request.target().starts_with("refused") {
        return exchange.answer(403, &[], b"not for you");
    }
    exchange.lead_to(tool);
}

impl Exchange {
    /// Opens the tunnel that was asked for, to `tool`, and ends with it.
    pub fn lead_to(&mut self, tool: SocketAddr) {
        self.write("HTTP/1.1 200 Connection established\r\n\r\n");
        let (mut from, mut to) =
            (self.wire.stream.try_clone().unwrap(), TcpStream::connect(tool).unwrap());
        let (mut back, mut out) = (to.try_clone().unwrap(), from.try_clone().unwrap());
        thread::spawn(move || {
            let _ = copy(&mut back, &mut out);
            let _ = out.shutdown(Shutdown::Both);
        });
        let _ = copy(&mut from, &mut to);
        self.close();
    }
}
