//! Digests of request bodies, over their canonical forms.

use std::io::{self, Cursor, Read, Seek};

use http::header::{CONTENT_ENCODING, HeaderMap};
use store_core::canonical;
use store_core::key::{Digest, Encoder};

use super::gzip::{self, MAX_IN_MEMORY};
use super::kind::{BodyKind, body_kind};
use super::multipart;
use super::selection::FieldSelection;
use super::urlencoded::undisputed;

/// A body in memory or in a spool file.
pub trait BodyReader: Read + Seek {}

impl<T: Read + Seek + ?Sized> BodyReader for T {}

/// The digest that two bodies share exactly if they mean the same, and whether gzip was undone for
/// it. `raw` is the SHA-256 of the body as it came. Reads `body` from its start and blocks. JSON
/// needs up to three times its size in memory.
pub(crate) fn body_digest(
    headers: &HeaderMap,
    body: &mut dyn BodyReader,
    raw: Digest,
    selection: &FieldSelection<'_>,
) -> io::Result<(Digest, bool)> {
    body.rewind()?;
    if !headers.contains_key(CONTENT_ENCODING) {
        return Ok((
            canonical(headers, body, selection)?.unwrap_or_else(|| raw_digest(headers, raw)),
            false,
        ));
    }
    if gzip::is_only_coding(headers)
        && let Some(zipped) = read_small(body)?
        && let Some(plain) = gzip::undo(&zipped)
    {
        let digest = canonical(headers, &mut Cursor::new(&plain), selection)?;
        return Ok((digest.unwrap_or_else(|| raw_digest(headers, Digest::of(&plain))), true));
    }
    Ok((raw_digest(headers, raw), false))
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

/// The digest of the canonical form. `None`: the body has none.
fn canonical(
    headers: &HeaderMap,
    body: &mut dyn Read,
    selection: &FieldSelection<'_>,
) -> io::Result<Option<Digest>> {
    Ok(match body_kind(headers) {
        BodyKind::Raw => None,
        BodyKind::Json => read_small(body)?
            .and_then(|text| canonical::json(&text))
            .map(|form| selection.json(form)),
        BodyKind::Form => {
            read_small(body)?.and_then(|text| undisputed(&text)).map(|pairs| selection.form(pairs))
        }
        BodyKind::Multipart { boundary } => multipart::digest(body, &boundary)?,
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
