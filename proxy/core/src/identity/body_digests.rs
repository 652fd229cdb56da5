//! The digests of a request's body, under its rule and without it.

use std::io::{self, Cursor};

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use store_core::key::Digest;

use crate::http::forms::digest::{BodyReader, body_digest};
use crate::http::forms::selection::FieldSelection;
use crate::mcp::message::ToolCall;
use crate::policy::decision::Guarded;

/// The digests of one body.
#[derive(Debug, Clone, Copy)]
pub struct BodyDigests {
    /// Of the parts that count under the rule, in canonical form.
    pub counted: Digest,
    /// Of all parts except keys, without regard to the rule.
    pub content: Digest,
    /// Of all parts, keys included.
    pub literal: Digest,
    /// Gzip was undone for the digests, so `Content-Encoding` no longer counts.
    pub decoded: bool,
}

impl BodyDigests {
    /// Reads a body, once for each digest that differs. `sha256` is that of the body as it came.
    /// Blocks where the reader does.
    pub fn read(
        headers: &HeaderMap,
        body: &mut dyn BodyReader,
        sha256: Digest,
        guarded: &Guarded,
    ) -> io::Result<Self> {
        let (counted, decoded) = body_digest(headers, body, sha256, &guarded.selection())?;
        let content = if guarded.rule.as_ref().is_some_and(|rule| rule.input.alters_input()) {
            body_digest(headers, body, sha256, &guarded.keyless_selection())?.0
        } else {
            counted
        };
        let literal = if guarded.keyless_selection().without.is_empty() {
            content
        } else {
            body_digest(headers, body, sha256, &FieldSelection::default())?.0
        };
        Ok(Self { counted, content, literal, decoded })
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
