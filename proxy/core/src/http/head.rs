//! The head of a request, as policy and keys read it.

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
