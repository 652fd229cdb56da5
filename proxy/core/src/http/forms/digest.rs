//! Canonical forms of request bodies: which bytes mean the same to every reader.

use std::io::{self, Cursor, Read, Seek};

use http::header::{CONTENT_ENCODING, HeaderMap};
use store_core::canonical::{self, Pointer};
use store_core::key::{Digest, Encoder};

use super::gzip::{self, MAX_IN_MEMORY};
use super::kind::{Kind, kind};
use super::multipart;
use super::urlencoded::{Pair, undisputed};

/// A body in memory or in a spool file.
pub trait BodyReader: Read + Seek {}

impl<T: Read + Seek + ?Sized> BodyReader for T {}

/// Which parts of a body count; by default all of them. JSON and forms alone have parts that can be
/// named.
#[derive(Debug, Clone, Default)]
pub struct Pick<'a> {
    pub without: Vec<&'a Pointer>,
    /// Only these, where there are any.
    pub select: Vec<&'a Pointer>,
}

impl Pick<'_> {
    fn is_all(&self) -> bool {
        self.without.is_empty() && self.select.is_empty()
    }

    fn json(&self, form: Vec<u8>) -> Digest {
        let plain = |form: &[u8]| Encoder::new("body/v1").field("json").field(form).finish();
        let text = match String::from_utf8(form) {
            Ok(text) if !self.is_all() => text,
            Ok(text) => return plain(text.as_bytes()),
            Err(error) => return plain(error.as_bytes()),
        };
        let text = if self.without.is_empty() {
            text
        } else {
            canonical::without(&text, self.without.iter().copied())
        };
        if self.select.is_empty() {
            return plain(text.as_bytes());
        }
        let selected = Encoder::new("body/v1").field("json-select");
        let values = self.select.iter().map(|pointer| pointer.get(&text));
        values.fold(selected, store_core::key::Encoder::optional).finish()
    }

    fn form(&self, mut pairs: Vec<Pair>) -> Digest {
        let names = |list: &[&Pointer], name: &[u8]| {
            list.iter().any(|field| field.only_name().is_some_and(|only| only.as_bytes() == name))
        };
        if !self.is_all() {
            pairs.retain(|(name, _)| {
                !names(&self.without, name) && (self.select.is_empty() || names(&self.select, name))
            });
        }
        let label = if self.select.is_empty() { "form" } else { "form-select" };
        let form = Encoder::new("body/v1").field(label);
        pairs
            .iter()
            .fold(form, |form, (name, value)| form.field(name).optional(value.as_ref()))
            .finish()
    }
}

/// The digest that two bodies share exactly where they mean the same, and whether gzip was undone
/// for it. `raw` is the SHA-256 of the body as it came. Reads `body` from its start, in blocking
/// fashion; JSON needs up to three times its size in memory.
pub fn body_digest(
    headers: &HeaderMap,
    body: &mut dyn BodyReader,
    raw: Digest,
    pick: &Pick<'_>,
) -> io::Result<(Digest, bool)> {
    body.rewind()?;
    if !headers.contains_key(CONTENT_ENCODING) {
        return Ok((
            canonical(headers, body, pick)?.unwrap_or_else(|| raw_digest(headers, raw)),
            false,
        ));
    }
    if gzip::is_only_coding(headers)
        && let Some(zipped) = read_small(body)?
        && let Some(plain) = gzip::undo(&zipped)
    {
        let digest = canonical(headers, &mut Cursor::new(&plain), pick)?;
        return Ok((digest.unwrap_or_else(|| raw_digest(headers, Digest::of(&plain))), true));
    }
    Ok((raw_digest(headers, raw), false))
}

/// A multipart body that is compared raw is compared with its boundary: that is not counted among
/// the headers, and without it the same bytes have other parts.
fn raw_digest(headers: &HeaderMap, sha256: Digest) -> Digest {
    let boundary = match kind(headers) {
        Kind::Multipart { boundary } => Some(boundary),
        _ => None,
    };
    Encoder::new("body/v1").field("raw").field(sha256.as_bytes()).optional(boundary).finish()
}

/// The digest of the canonical form; `None` where the body has none.
fn canonical(
    headers: &HeaderMap,
    body: &mut dyn Read,
    pick: &Pick<'_>,
) -> io::Result<Option<Digest>> {
    Ok(match kind(headers) {
        Kind::Raw => None,
        Kind::Json => {
            read_small(body)?.and_then(|text| canonical::json(&text)).map(|form| pick.json(form))
        }
        Kind::Form => {
            read_small(body)?.and_then(|text| undisputed(&text)).map(|pairs| pick.form(pairs))
        }
        Kind::Multipart { boundary } => multipart::digest(body, &boundary)?,
    })
}

/// The whole body, where it is small enough to be held.
fn read_small(body: &mut dyn Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    body.take(MAX_IN_MEMORY as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= MAX_IN_MEMORY).then_some(bytes))
}

#[cfg(test)]
mod tests;
