//! Digests of request bodies, over their canonical forms.

use std::io::{self, Cursor, Read, Seek};

use http::header::{CONTENT_ENCODING, HeaderMap};
use store_core::canonical;
use store_core::key::{Digest, Encoder};

use super::gzip::{self, MAX_IN_MEMORY};
use super::kind::{BodyKind, body_kind};
use super::selection::{FieldSelection, json_digests};
use super::urlencoded::undisputed;
use super::{aws_chunked, multipart};

/// A body in memory or in a spool file.
pub trait BodyReader: Read + Seek {}

impl<T: Read + Seek + ?Sized> BodyReader for T {}

/// The digests that two bodies share exactly if they mean the same, one for each selection of their
/// parts, and whether the content coding was undone for it. `raw` is the SHA-256 of the body as it
/// came. Reads `body` once from its start and blocks. JSON needs up to three times its size in
/// memory.
pub(crate) fn body_digests<const N: usize>(
    headers: &HeaderMap,
    body: &mut dyn BodyReader,
    raw: Digest,
    selections: &[FieldSelection<'_>; N],
) -> io::Result<([Digest; N], bool)> {
    body.rewind()?;
    if !headers.contains_key(CONTENT_ENCODING) {
        let digests = canonical(headers, body, selections)?;
        return Ok((digests.unwrap_or_else(|| [raw_digest(headers, raw); N]), false));
    }
    if let Some(plain) = undone(headers, body)? {
        let digests = canonical(headers, &mut Cursor::new(&plain), selections)?;
        let whole = || [raw_digest(headers, Digest::of(&plain)); N];
        return Ok((digests.unwrap_or_else(whole), true));
    }
    Ok(([raw_digest(headers, raw); N], false))
}

/// A small body without its content coding. `None`: the coding cannot be undone for all readers.
fn undone(headers: &HeaderMap, body: &mut dyn Read) -> io::Result<Option<Vec<u8>>> {
    let chunked = aws_chunked::inner(headers);
    if chunked.is_none() && !gzip::is_only_coding(headers) {
        return Ok(None);
    }
    let Some(coded) = read_small(body)? else { return Ok(None) };
    let Some(inner) = chunked else { return Ok(gzip::undo(&coded)) };
    let plain = aws_chunked::undo(headers, &coded);
    Ok(if !inner.contains_key(CONTENT_ENCODING) {
        plain
    } else if gzip::is_only_coding(&inner) {
        plain.and_then(|zipped| gzip::undo(&zipped))
    } else {
        None
    })
}

/// The digest of a body that is compared raw. That of a multipart body covers the boundary, which
/// does not count among the headers: with another boundary the same bytes have other parts.
fn raw_digest(headers: &HeaderMap, sha256: Digest) -> Digest {
    let boundary = match body_kind(headers) {
        BodyKind::Multipart { boundary } => Some(boundary),
        _ => None,
    };
    Encoder::new("body/v1").field("raw").field(sha256.as_bytes()).optional(boundary).finish()
}

/// The digests of the canonical form. `None`: the body has none.
fn canonical<const N: usize>(
    headers: &HeaderMap,
    body: &mut dyn Read,
    selections: &[FieldSelection<'_>; N],
) -> io::Result<Option<[Digest; N]>> {
    Ok(match body_kind(headers) {
        BodyKind::Raw => None,
        BodyKind::Json => read_small(body)?
            .and_then(|text| canonical::json(&text))
            .and_then(|form| String::from_utf8(form).ok())
            .map(|form| json_digests(&form, selections)),
        BodyKind::Form => read_small(body)?
            .and_then(|text| undisputed(&text))
            .map(|pairs| selections.each_ref().map(|selection| selection.form(headers, &pairs))),
        BodyKind::Multipart { boundary } => multipart::digests(body, &boundary, selections)?,
    })
}

/// The whole body, if it is small enough to be held.
fn read_small(body: &mut dyn Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    body.take(MAX_IN_MEMORY as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= MAX_IN_MEMORY).then_some(bytes))
}

#[cfg(test)]
mod tests;
