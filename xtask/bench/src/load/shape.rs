//! The kinds of calls: a request with the call's number in it, and the answer that it must get.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::ensure;
use testkit::Trusting;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The place of a call's number in a request. The number has as many digits.
pub(crate) const PLACE: &str = "{000000NUMBER}";

/// How the next call gets its number.
#[derive(Clone)]
pub(crate) enum Numbers {
    /// A new number.
    Fresh(Arc<AtomicU64>),
    /// A random number below this one.
    Below(u64),
    /// Each number up to `end` once, then no more.
    Fill { next: Arc<AtomicU64>, end: u64 },
}

/// What an answer must be.
#[derive(Clone)]
pub(crate) enum Expect {
    /// The body of the request.
    Echo,
    /// A body that contains each of these texts, with the number in its place.
    Contains(Vec<String>),
}

/// One kind of call.
#[derive(Clone)]
pub(crate) struct Shape {
    /// Head and body, with [`PLACE`] where the number belongs.
    pub(crate) request: String,
    pub(crate) numbers: Numbers,
    pub(crate) expect: Expect,
    /// The tunnel, for a call over TLS.
    pub(crate) tunnel: Option<Tunnel>,
}

/// A tunnel to a TLS server whose certificate is trusted: the upstream, or a proxy that intercepts.
#[derive(Clone)]
pub(crate) struct Tunnel {
    pub(crate) host: &'static str,
    pub(crate) port: u16,
    pub(crate) trusting: Trusting,
}

impl Tunnel {
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

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
    /// The same call in a tunnel.
    pub(crate) fn inside(mut self, tunnel: &Tunnel) -> Self {
        self.tunnel = Some(tunnel.clone());
        self
    }

    /// A POST of 512 bytes of JSON; `target` and `head` are what the peer needs.
    pub(crate) fn post(target: &str, head: &str, numbers: Numbers) -> Self {
        let start = format!("{{\"call\":\"{PLACE}\",\"pad\":\"");
        let body = format!("{start}{}\"}}", "x".repeat(512 - start.len() - 2));
        let request = format!(
            "POST {target} HTTP/1.1\r\n{head}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { request, numbers, expect: Expect::Echo, tunnel: None }
    }

    /// A GET whose answer contains the number.
    pub(crate) fn get(target: &str, head: &str, numbers: Numbers) -> Self {
        let request = format!("GET {target} HTTP/1.1\r\n{head}\r\n");
        Self { request, numbers, expect: Expect::Contains(vec![PLACE.to_owned()]), tunnel: None }
    }

    /// A JSON-RPC call.
    pub(crate) fn rpc(addr: SocketAddr, body: &str, numbers: Numbers, contains: &[&str]) -> Self {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {addr}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let contains = contains.iter().map(|&text| text.to_owned()).collect();
        Self { request, numbers, expect: Expect::Contains(contains), tunnel: None }
    }
}
