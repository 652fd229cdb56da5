//! The head of a request, as policy and keys read it.

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Method};

use crate::http::target::Target;

/// The method, the target and the header fields of one request.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// As the request line has it.
    pub method: &'a Method,
    /// Where the request goes.
    pub target: &'a Target,
    /// As the client sent them.
    pub headers: &'a HeaderMap,
}

impl<'a> RequestHead<'a> {
    /// The head of a request to `target`.
    pub fn new(parts: &'a Parts, target: &'a Target) -> Self {
        Self { method: &parts.method, target, headers: &parts.headers }
    }
}

/// Whether a request says that it is one of gRPC, which only HTTP/2 carries.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let start = value.as_bytes().get(..16);
        start.is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
    })
}
