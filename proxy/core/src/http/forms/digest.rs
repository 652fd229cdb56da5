//! Canonical forms of request bodies: which bytes mean the same to every reader.

mod gzip;
mod multipart;
mod urlencoded;

use std::borrow::Cow;
use std::io::{self, Cursor, Read, Seek};

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use mime::Mime;
use store::canonical::{self, Pointer};
use store::key::{Digest, Encoder};

use self::urlencoded::undisputed;
pub(crate) use self::urlencoded::{Pair, pairs};

/// The largest JSON or form that is brought into its canonical form, and the largest body that is
/// unzipped, in bytes; larger ones are compared raw. Multipart bodies are read as a stream.
const MAX_IN_MEMORY: usize = 8 * 1024 * 1024;

/// A body in memory or in a spool file.
pub(crate) trait BodyReader: Read + Seek {}

impl<T: Read + Seek + ?Sized> BodyReader for T {}

/// How a body is to be compared, by its Content-Type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Json,
    Form,
    Multipart { boundary: String },
    Raw,
}

/// Which parts of a body count; by default all of them. JSON and forms alone have parts that can be
/// named.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pick<'a> {
    pub(crate) without: Vec<&'a Pointer>,
    /// Only these, where there are any.
    pub(crate) select: Vec<&'a Pointer>,
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
        values.fold(selected, store::key::Encoder::optional).finish()
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

/// The one Content-Type of a message, where it can be read.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<Mime> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok()?.parse().ok(),
        _ => None,
    }
}

/// How a body is to be compared. Charsets other than UTF-8 make JSON something else.
pub(crate) fn kind(headers: &HeaderMap) -> Kind {
    let Some(media_type) = media_type(headers) else {
        return Kind::Raw;
    };
    let utf8 = media_type
        .params()
        .filter(|(name, _)| *name == mime::CHARSET)
        .all(|(_, v)| v == mime::UTF_8);
    let boundaries: Vec<_> =
        media_type.params().filter(|(name, _)| *name == mime::BOUNDARY).map(|(_, v)| v).collect();
    match (media_type.type_(), media_type.subtype(), media_type.suffix()) {
        (mime::APPLICATION, mime::JSON, None) | (_, _, Some(mime::JSON)) if utf8 => Kind::Json,
        (mime::APPLICATION, mime::WWW_FORM_URLENCODED, None) if utf8 => Kind::Form,
        (mime::MULTIPART, _, _) => match boundaries[..] {
            [boundary] => Kind::Multipart { boundary: boundary.as_str().to_owned() },
            _ => Kind::Raw,
        },
        _ => Kind::Raw,
    }
}

/// How a body is compared, in words.
pub(crate) fn described(headers: &HeaderMap, body: &[u8]) -> &'static str {
    let undone = plain(headers, body);
    let body = undone.as_deref().unwrap_or(body);
    match kind(headers) {
        _ if body.is_empty() => "none",
        _ if undone.is_none() => "its bytes, still encoded",
        Kind::Json if canonical::json(body).is_some() => {
            "JSON: order of members, spaces and escapes do not matter; numbers as written"
        }
        Kind::Json => "its bytes: JSON that readers read differently",
        Kind::Form if undisputed(body).is_some() => "form: the decoded pairs in order",
        Kind::Multipart { .. } => "multipart: its parts in order, whatever the boundary",
        Kind::Form | Kind::Raw => "its bytes",
    }
}

/// The body without its content coding: itself where it has none, `None` where the coding is not
/// gzip, is damaged, or unzips to too much.
pub(crate) fn plain<'a>(headers: &HeaderMap, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    if !headers.contains_key(CONTENT_ENCODING) {
        return Some(Cow::Borrowed(body));
    }
    if gzip::is_only_coding(headers) { gzip::undo(body).map(Cow::Owned) } else { None }
}

/// The digest that two bodies share exactly where they mean the same, and whether gzip was undone
/// for it. `raw` is the SHA-256 of the body as it came. Reads `body` from its start, in blocking
/// fashion; JSON needs up to three times its size in memory.
pub(crate) fn body_digest(
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
