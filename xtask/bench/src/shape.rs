//! The calls that a load is made of.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::ensure;
use testkit::Trusting;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Where the number of a call stands in a request: this many digits.
pub(super) const PLACE: &str = "{000000NUMBER}";

/// Which number the next call gets.
#[derive(Clone)]
pub(super) enum Numbers {
    /// One that was never used.
    Fresh(Arc<AtomicU64>),
    /// One of those below, at random.
    Below(u64),
    /// All of these once, then no more.
    Fill { next: Arc<AtomicU64>, end: u64 },
}

/// What an answer must be.
#[derive(Clone)]
pub(super) enum Expect {
    /// The body that was sent.
    Echo,
    /// Each of these, with the number in its place, is in the body.
    Contains(Vec<String>),
}

/// One kind of call.
#[derive(Clone)]
pub(super) struct Shape {
    /// Head and body, with [`PLACE`] where the number belongs.
    pub(super) request: String,
    pub(super) numbers: Numbers,
    pub(super) expect: Expect,
    /// By TLS, in a tunnel.
    pub(super) tunnel: Option<Tunnel>,
}

/// A tunnel to where TLS is spoken, by whoever holds a certificate that is trusted.
#[derive(Clone)]
pub(super) struct Tunnel {
    pub(super) host: &'static str,
    pub(super) port: u16,
    pub(super) trusting: Trusting,
}

impl Tunnel {
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The stream inside of TLS.
    pub(super) async fn open(&self, mut proxy: TcpStream) -> anyhow::Result<TlsStream<TcpStream>> {
        let authority = self.authority();
        let connect = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        proxy.write_all(connect.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if proxy.read_buf(&mut head).await? == 0 {
                break;
            }
        }
        ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
        Ok(self.trusting.secure(proxy.into_std()?, self.host).await?)
    }
}

impl Shape {
    /// The same in a tunnel.
    pub(super) fn inside(mut self, tunnel: &Tunnel) -> Self {
        self.tunnel = Some(tunnel.clone());
        self
    }

    /// A POST of 512 bytes of JSON; `target` and `head` as the peer wants them.
    pub(super) fn post(target: &str, head: &str, numbers: Numbers) -> Self {
        let start = format!("{{\"call\":\"{PLACE}\",\"pad\":\"");
        let body = format!("{start}{}\"}}", "x".repeat(512 - start.len() - 2));
        let request = format!(
            "POST {target} HTTP/1.1\r\n{head}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { request, numbers, expect: Expect::Echo, tunnel: None }
    }

    /// A GET whose answer names the number.
    pub(super) fn get(target: &str, head: &str, numbers: Numbers) -> Self {
        let request = format!("GET {target} HTTP/1.1\r\n{head}\r\n");
        Self { request, numbers, expect: Expect::Contains(vec![PLACE.to_owned()]), tunnel: None }
    }

    /// A JSON-RPC call.
    pub(super) fn rpc(addr: SocketAddr, body: &str, numbers: Numbers, contains: &[&str]) -> Self {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {addr}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let contains = contains.iter().map(|&text| text.to_owned()).collect();
        Self { request, numbers, expect: Expect::Contains(contains), tunnel: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_has_512_bytes_of_json() {
        let shape = Shape::post("/", "", Numbers::Below(1));
        let body = shape.request.split("\r\n\r\n").nth(1).unwrap();
        assert_eq!(body.len(), 512);
        assert!(shape.request.contains("Content-Length: 512\r\n"));
    }
}
