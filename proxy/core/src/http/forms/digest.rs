//! Digests of request bodies, over their canonical forms.

use std::borrow::Cow;
use std::io::{self, Cursor, Read, Seek};

use http::header::{CONTENT_ENCODING, HeaderMap};
use store_core::canonical;
use store_core::key::{Digest, Encoder};

use super::gzip::{self, MAX_IN_MEMORY};
use super::kind::{BodyKind, body_kind, is_json};
use super::selection::{FieldSelection, json_digests};
use super::urlencoded::undisputed;
use super::{aws_chunked, multipart};
use crate::http::charset::to_utf8;
use crate::http::coding;

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
    let reads_parts = selections.iter().any(FieldSelection::names_parts);
    if !headers.contains_key(CONTENT_ENCODING) {
        let digests = canonical(headers, body, selections, reads_parts)?;
        return Ok((digests.unwrap_or_else(|| [raw_digest(headers, raw); N]), false));
    }
    if let Some(plain) = undone(headers, body, reads_parts)? {
        let digests = canonical(headers, &mut Cursor::new(&plain), selections, reads_parts)?;
        let whole = || [raw_digest(headers, Digest::of(&plain)); N];
        return Ok((digests.unwrap_or_else(whole), true));
    }
    Ok(([raw_digest(headers, raw); N], false))
}

/// A small body without its content codings. `None`: they cannot be undone.
fn undone(
    headers: &HeaderMap,
    body: &mut dyn Read,
    reads_parts: bool,
) -> io::Result<Option<Vec<u8>>> {
    let Some(coded) = read_small(body)? else { return Ok(None) };
    Ok(match aws_chunked::inner(headers) {
        None => decoded(headers, &coded, reads_parts),
        Some(inner) => {
            let plain = aws_chunked::undo(headers, &coded);
            plain.and_then(|plain| decoded(&inner, &plain, reads_parts))
        }
    })
}

/// A body without the codings that `headers` name. Readers differ in what they make of several
/// members of gzip: these are read only if a rule names parts of the body.
fn decoded(headers: &HeaderMap, coded: &[u8], reads_parts: bool) -> Option<Vec<u8>> {
    let every = || coding::decode(headers, coded, gzip::limit(coded)).ok().map(Cow::into_owned);
    if gzip::is_only_coding(headers) {
        gzip::undo(coded).or_else(|| reads_parts.then(every).flatten())
    } else {
        every()
    }
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
    reads_parts: bool,
) -> io::Result<Option<[Digest; N]>> {
    // A rule that names members means them in whatever charset they come.
    let utf8 = |text: Vec<u8>| {
        if reads_parts { to_utf8(headers, &text).map(Cow::into_owned) } else { Some(text) }
    };
    let kind = match body_kind(headers) {
        BodyKind::Raw if reads_parts && is_json(headers) => BodyKind::Json,
        kind => kind,
    };
    Ok(match kind {
        BodyKind::Raw => None,
        BodyKind::Json => read_small(body)?
            .and_then(utf8)
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
