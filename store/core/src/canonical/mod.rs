//! The canonical form of JSON: equal only where every reader would treat two texts as equal.

mod pointer;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::fmt::Write as _;

pub use self::pointer::{Pointer, without};
use self::text::MemberOrder;

/// The canonical text of `bytes`, or `None` if they must be compared raw: not JSON, invalid
/// UTF-8, duplicate member names, lone surrogates, or nesting over 128.
///
/// RFC 8785 except for numbers: members sorted by the UTF-16 code units of their names, no
/// insignificant whitespace, one spelling of each string. A number stays as it was written, so that
/// `1`, `1.0` and `1e0` differ and no digit is lost. Canonicalizing twice changes nothing.
///
/// Time and memory are linear in the input, except for sorting and for the copies that nested
/// unsorted objects cost: at most one per level.
pub fn json(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    text::canonical(text, MemberOrder::Sorted).map(String::into_bytes)
}

/// [`json`] with the members in the order in which they were written, and on one line for every reader:
/// characters that some treat as the end of a line are escaped.
pub fn line(bytes: &[u8]) -> Option<String> {
    let text = text::canonical(std::str::from_utf8(bytes).ok()?, MemberOrder::AsWritten)?;
    // All others are in strings already as escapes.
    let ends_line =
        |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
    if !text.contains(ends_line) {
        return Some(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if ends_line(character) {
            write!(line, "\\u{:04x}", u32::from(character)).ok()?;
        } else {
            line.push(character);
        }
    }
    Some(line)
}

/// [`json`], or the bytes as they are. Tagged, so that the two never collide.
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
/// if it has no canonical form.
pub fn display(text: &str) -> Cow<'_, str> {
    match json(text.as_bytes()).and_then(|canonical| String::from_utf8(canonical).ok()) {
        Some(canonical) => Cow::Owned(canonical),
        None => Cow::Borrowed(text),
    }
}
