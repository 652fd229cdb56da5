//! The canonical form of JSON: equal only where every reader would treat two texts as equal.

use std::borrow::Cow;

/// The canonical text of `bytes`, or `None` where they must be compared raw: no JSON, invalid
/// UTF-8, duplicate member names, lone surrogates, or nesting over 128.
pub fn json(bytes: &[u8]) -> Option<Vec<u8>> {
    let _ = bytes;
    todo!()
}

/// [`json`], else the bytes as they are; tagged, so that the two never collide.
pub fn json_or_raw(bytes: &[u8]) -> Vec<u8> {
    let (tag, body) = match json(bytes) {
        Some(canonical) => (b'j', Cow::Owned(canonical)),
        None => (b'r', Cow::Borrowed(bytes)),
    };
    let mut tagged = Vec::with_capacity(body.len() + 1);
    tagged.push(tag);
    tagged.extend_from_slice(&body);
    tagged
}

/// [`json`] for people (`replay`): members sorted, no spaces, numbers as written; the text itself
/// where it has no canonical form.
pub fn display(text: &str) -> Cow<'_, str> {
    match json(text.as_bytes()).and_then(|canonical| String::from_utf8(canonical).ok()) {
        Some(canonical) => Cow::Owned(canonical),
        None => Cow::Borrowed(text),
    }
}
