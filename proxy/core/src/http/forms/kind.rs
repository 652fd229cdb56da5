//! How a body is compared, by its head.

use std::borrow::Cow;

use http::header::{CONTENT_TYPE, HeaderMap};
use mime::Mime;
use store_core::canonical;

use super::urlencoded::undisputed;
use crate::http::coding::{MAX_DECODED, decode};

/// How a body is compared, by its Content-Type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// As canonical JSON.
    Json,
    /// As the decoded pairs of `application/x-www-form-urlencoded`, in order.
    Form,
    /// Part by part.
    Multipart {
        /// What separates the parts. It does not count.
        boundary: String,
    },
    /// Byte by byte.
    Raw,
}

/// The Content-Type of a message, if it has exactly one that can be read.
pub fn media_type(headers: &HeaderMap) -> Option<Mime> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok()?.parse().ok(),
        _ => None,
    }
}

/// Whether a body is JSON by its Content-Type, in whatever charset.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|media_type| names_json(&media_type))
}

fn names_json(media_type: &Mime) -> bool {
    let kind = (media_type.type_(), media_type.subtype(), media_type.suffix());
    matches!(kind, (mime::APPLICATION, mime::JSON, None) | (_, _, Some(mime::JSON)))
}

/// How a body is compared. JSON and forms in a charset other than UTF-8 are compared raw.
pub(crate) fn body_kind(headers: &HeaderMap) -> BodyKind {
    let Some(media_type) = media_type(headers) else {
        return BodyKind::Raw;
    };
    let utf8 = media_type
        .params()
        .filter(|(name, _)| *name == mime::CHARSET)
        .all(|(_, v)| v == mime::UTF_8);
    let boundaries: Vec<_> =
        media_type.params().filter(|(name, _)| *name == mime::BOUNDARY).map(|(_, v)| v).collect();
    match (media_type.type_(), media_type.subtype(), media_type.suffix()) {
        _ if utf8 && names_json(&media_type) => BodyKind::Json,
        (mime::APPLICATION, mime::WWW_FORM_URLENCODED, None) if utf8 => BodyKind::Form,
        (mime::MULTIPART, _, _) => match boundaries[..] {
            [boundary] => BodyKind::Multipart { boundary: boundary.as_str().to_owned() },
            _ => BodyKind::Raw,
        },
        _ => BodyKind::Raw,
    }
}

/// How a body is compared, in words.
pub fn describe(headers: &HeaderMap, body: &[u8]) -> &'static str {
    let plain = decoded(headers, body);
    let body = plain.as_deref().unwrap_or(body);
    match body_kind(headers) {
        _ if body.is_empty() => "none",
        _ if plain.is_none() => "its bytes, still encoded",
        BodyKind::Json if canonical::json(body).is_some() => {
            "JSON: order of members, spaces and escapes do not matter; numbers as written"
        }
        BodyKind::Json => "its bytes: JSON that parsers read differently",
        BodyKind::Form if undisputed(body).is_some() => "form: the decoded pairs in order",
        BodyKind::Multipart { .. } => "multipart: its parts in order, whatever the boundary",
        BodyKind::Form | BodyKind::Raw => "its bytes",
    }
}

/// The body without its content coding. `None`: the coding is not known, the body is damaged, or
/// too large when decoded.
pub fn decoded<'a>(headers: &HeaderMap, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    decode(headers, body, MAX_DECODED).ok()
}
