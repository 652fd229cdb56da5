//! The digests of a request's body, under its rule and without it.

use std::io::{self, Cursor};

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use store_core::key::Digest;

use crate::http::forms::digest::{BodyReader, body_digests};
use crate::mcp::message::ToolCall;
use crate::policy::comparison::Comparison;
use crate::policy::decision::Guarded;

/// The digests of one body.
#[derive(Debug, Clone, Copy)]
pub struct BodyDigests {
    /// One for each comparison.
    pub(super) digests: [Digest; Comparison::ALL.len()],
    /// The content coding was undone for the digests, so `Content-Encoding` no longer counts.
    pub(super) decoded: bool,
}

impl BodyDigests {
    /// Reads a body once. `sha256` is that of the body as it came. Blocks where the reader does.
    pub fn read(
        headers: &HeaderMap,
        body: &mut dyn BodyReader,
        sha256: Digest,
        guarded: &Guarded,
    ) -> io::Result<Self> {
        let selections = Comparison::ALL.map(|comparison| guarded.compares_parts(comparison));
        let (digests, decoded) = body_digests(headers, body, sha256, &selections)?;
        Ok(Self { digests, decoded })
    }

    /// The digests of what a tool call means, without its id and `_meta`. `headers`
    /// are the request's.
    pub fn of_tool_call(
        headers: &HeaderMap,
        call: &ToolCall,
        guarded: &Guarded,
    ) -> io::Result<Self> {
        let mut json = HeaderMap::new();
        json.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let meaning = call.meaning.as_bytes();
        let sha256 = Digest::of(meaning);
        let read = Self::read(&json, &mut Cursor::new(meaning), sha256, guarded)?;
        Ok(Self { decoded: headers.contains_key(CONTENT_ENCODING), ..read })
    }
}
