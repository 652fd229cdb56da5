//! The digests of a request's body, under its rule and without it.

use std::io::{self, Cursor};

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use store_core::key::Digest;

use crate::http::forms::digest::{BodyReader, body_digests, raw_digest};
use crate::mcp::message::ToolCall;
use crate::policy::decision::Guarded;

/// The digests of one body.
#[derive(Debug, Clone, Copy)]
pub struct BodyDigests {
    /// Of the parts that count under the rule, in canonical form.
    pub counted: Digest,
    /// The same as version 0.2.0 derived it.
    pub legacy: Digest,
    /// Of all parts except keys and what a client draws for each try, without regard to the rule.
    pub content: Digest,
    /// Of the parts of `content` that count under the rule.
    pub ruled: Digest,
    /// `content` with the keys that a rule or a table places.
    pub literal: Digest,
    /// The content coding was undone for the digests, so `Content-Encoding` no longer counts.
    pub decoded: bool,
}

impl BodyDigests {
    /// Reads a body once. `sha256` is that of the body as it came. Blocks where the reader does.
    pub fn read(
        headers: &HeaderMap,
        body: &mut dyn BodyReader,
        sha256: Digest,
        guarded: &Guarded,
    ) -> io::Result<Self> {
        let selections = [
            guarded.counted_parts(),
            guarded.legacy_parts(),
            guarded.content_parts(),
            guarded.ruled_parts(),
            guarded.literal_parts(),
        ];
        let ([counted, legacy, content, ruled, literal], decoded) =
            body_digests(headers, body, sha256, &selections)?;
        // Version 0.2.0 undid gzip alone.
        let undone_since = decoded && is_aws_chunked(headers);
        let legacy = if undone_since { raw_digest(headers, sha256) } else { legacy };
        Ok(Self { counted, legacy, content, ruled, literal, decoded })
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

/// Whether the outermost content coding is AWS's, which signs each chunk.
fn is_aws_chunked(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .is_some_and(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"aws-chunked"))
}
