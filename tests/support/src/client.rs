//! An HTTP client that adds nothing, retries nothing and hides nothing.

use std::io;
use std::net::{SocketAddr, TcpStream};

use crate::wire::{Framing, Head, Wire};

/// `http://host:port` of a URL.
pub fn origin_of(url: &str) -> &str {
    let after = url.find("://").map_or(0, |at| at + 3);
    url[after..].find('/').map_or(url, |slash| &url[..after + slash])
}

/// Path and query of a URL.
pub fn path_of(url: &str) -> &str {
    let path = &url[origin_of(url).len()..];
    if path.is_empty() { "/" } else { path }
}

/// Basic credentials, as a client makes them of `http://USER:PASSWORD@host`.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64(&format!("{user}:{password}")))
}

/// Base64 with padding.
pub fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut coded = String::new();
    for group in text.as_bytes().chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for digit in 0..4 {
            let at = (bits >> (18 - 6 * digit)) & 63;
            coded.push(if digit > group.len() { '=' } else { char::from(DIGITS[at as usize]) });
        }
    }
    coded
}

/// A request in absolute form, as an HTTP proxy gets it.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub url: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, url: &str) -> Self {
        Self {
            method: method.to_owned(),
            url: url.to_owned(),
            fields: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn get(url: &str) -> Self {
        Self::new("GET", url)
    }

    /// With a body of text.
    pub fn post(url: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", url).header("Content-Type", "text/plain").body(body)
    }

    pub fn post_json(url: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", url).header("Content-Type", "application/json").body(body)
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With `Idempotency-Key`.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }

    /// As bytes, in absolute form.
    pub fn to_proxy(&self) -> Vec<u8> {
        self.bytes(&self.url)
    }

    /// As bytes, in origin form.
    pub fn to_origin(&self) -> Vec<u8> {
        self.bytes(path_of(&self.url))
    }

    fn bytes(&self, target: &str) -> Vec<u8> {
        let origin = origin_of(&self.url);
        let host = origin.split_once("://").map_or(origin, |(_, host)| host);
        let mut text = format!("{} {target} HTTP/1.1\r\nHost: {host}\r\n", self.method);
        for (name, value) in &self.fields {
            text += &[name, ": ", value, "\r\n"].concat();
        }
        if !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") {
            text += &["Content-Length: ", &self.body.len().to_string(), "\r\n"].concat();
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it to the proxy on a new connection and reads the whole answer.
    pub fn via(&self, proxy: SocketAddr) -> Response {
        self.try_via(proxy).unwrap()
    }

    /// As [`Self::via`], where the proxy may die.
    pub fn try_via(&self, proxy: SocketAddr) -> io::Result<Response> {
        let mut client = Client::connect(proxy)?;
        client.write(self.to_proxy())?;
        client.answer(&self.method)
    }
}

/// A connection to the proxy (or, after [`Client::tunnel`], through it).
pub struct Client {
    pub wire: Wire,
}

impl Client {
    pub fn connect(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { wire: Wire::new(TcpStream::connect(addr)?) })
    }

    /// CONNECT, and the proxy's answer to it.
    pub fn tunnel(proxy: SocketAddr, authority: &str, fields: &str) -> io::Result<(Self, Head)> {
        let mut client = Self::connect(proxy)?;
        client
            .write(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n"))?;
        let head = client.head()?;
        Ok((client, head))
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.write(bytes)
    }

    /// The head of the next answer that is not 1xx.
    pub fn head(&mut self) -> io::Result<Head> {
        loop {
            let head = self.wire.read_head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if !head.line.split(' ').nth(1).is_some_and(|status| status.starts_with('1')) {
                return Ok(head);
            }
        }
    }

    /// A whole answer to a request with this method; `whole` is false if it breaks off.
    pub fn answer(&mut self, method: &str) -> io::Result<Response> {
        let head = self.head()?;
        Ok(self.rest(head, method))
    }

    /// What follows a head that was read.
    pub fn rest(&mut self, head: Head, method: &str) -> Response {
        let status = status_of(&head);
        let framing = Self::framing(&head, method);
        let chunked = framing == Framing::Chunked;
        let (body, whole) = self.wire.read_rest(framing);
        let trailers = if chunked { std::mem::take(&mut self.wire.trailers) } else { Vec::new() };
        Response { status, head, body, trailers, whole }
    }

    /// How an answer's body ends.
    pub fn framing(head: &Head, method: &str) -> Framing {
        match status_of(head) {
            204 | 304 => Framing::Done,
            _ if method == "HEAD" => Framing::Done,
            _ => Framing::of(head, Framing::Close),
        }
    }

    /// Sends a request in origin form, as inside a tunnel, and reads the whole answer.
    pub fn ask(&mut self, request: &Request) -> Response {
        self.write(request.to_origin()).unwrap();
        self.answer(&request.method).unwrap()
    }
}

fn status_of(head: &Head) -> u16 {
    head.line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// Its body ended as its head had announced.
    pub whole: bool,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The first word of `Idempotency-Status`.
    pub fn word(&self) -> &str {
        let value = self.header("idempotency-status").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim()
    }

    /// A parameter of `Idempotency-Status`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.header("idempotency-status")?
            .split(';')
            .filter_map(|part| part.trim().split_once('='))
            .find_map(|(parameter, value)| (parameter == name).then_some(value.trim_matches('"')))
    }

    /// The code in the `type` of a problem.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        for member in ["title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        assert_eq!(problem["status"], self.status, "{problem}");
        let uri = problem["type"].as_str().unwrap_or_default();
        uri.strip_prefix("urn:openclaw-state-engine:").unwrap_or(uri).to_owned()
    }

    /// Fails unless it is this problem, with this status.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.text());
    }

    /// Fails unless it has this status and this word of `Idempotency-Status`.
    #[track_caller]
    pub fn assert_is(&self, status: u16, word: &str) {
        assert_eq!((self.status, self.word()), (status, word), "{:?} {}", self.head, self.text());
        assert!(self.whole, "it broke off: {self:?}");
    }

    /// Header fields that the upstream wrote: without the proxy's own, and those of the connection.
    pub fn upstream_fields(&self) -> Vec<(String, String)> {
        const NOT_ITS_OWN: [&str; 12] = [
            "idempotency-status",
            "idempotent-replayed",
            "idempotency-key",
            "idempotency-retry-token",
            "agent-execution-id",
            "x-should-retry",
            "stripe-should-retry",
            "age",
            "via",
            "date",
            "connection",
            "transfer-encoding",
        ];
        self.head
            .fields
            .iter()
            .filter(|(name, _)| !NOT_ITS_OWN.contains(&name.to_ascii_lowercase().as_str()))
            .cloned()
            .collect()
    }
}
