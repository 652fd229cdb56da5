//! A request line as it was written, through parsers that refuse some of its bytes.
//!
//! RFC 3986 allows neither `"`, `<`, `>`, a backtick nor raw bytes in a URL. Clients send them and
//! tools take them, so they are neither refused nor rewritten: each becomes a character that the
//! parser takes and that no one writes (U+10FF00 and the byte), and becomes the byte again.

use std::borrow::Cow;

/// Stands for the byte 0.
const FIRST: u32 = 0x10_FF00;

/// Whether a byte of a request line must be hidden from the parser.
pub fn is_odd(byte: u8) -> bool {
    byte >= 0x7f || matches!(byte, b'"' | b'<' | b'>' | b'`' | b'{' | b'}' | b'|' | b'^' | b'\\')
}

/// The bytes of a request line with each odd one hidden.
pub fn hidden(line: &[u8]) -> Vec<u8> {
    let mut hidden = Vec::with_capacity(line.len() + 16);
    for byte in line {
        if is_odd(*byte) {
            push_hidden(&mut hidden, *byte);
        } else {
            hidden.push(*byte);
        }
    }
    hidden
}

fn push_hidden(text: &mut Vec<u8>, byte: u8) {
    let substitute = char::from_u32(FIRST + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER);
    text.extend_from_slice(substitute.encode_utf8(&mut [0; 4]).as_bytes());
}

/// The byte that a character stands for.
fn byte_of(character: char) -> Option<u8> {
    u32::from(character).checked_sub(FIRST).and_then(|byte| u8::try_from(byte).ok())
}

/// The bytes as they were written.
pub fn revealed(text: &str) -> Cow<'_, [u8]> {
    if !has_hidden(text) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match byte_of(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

/// The text as it was written. Only bytes that are not UTF-8 stay hidden, and what already looks
/// like a hidden one, so that two lines never become one.
pub fn as_text(text: &str) -> Cow<'_, str> {
    let bytes = match revealed(text) {
        Cow::Borrowed(_) => return Cow::Borrowed(text),
        Cow::Owned(bytes) => bytes,
    };
    let mut written = Vec::with_capacity(bytes.len());
    for part in bytes.utf8_chunks() {
        for character in part.valid().chars() {
            let mut utf8 = [0; 4];
            let utf8 = character.encode_utf8(&mut utf8).as_bytes();
            match byte_of(character) {
                None => written.extend_from_slice(utf8),
                Some(_) => utf8.iter().for_each(|byte| push_hidden(&mut written, *byte)),
            }
        }
        part.invalid().iter().for_each(|byte| push_hidden(&mut written, *byte));
    }
    Cow::Owned(String::from_utf8(written).unwrap_or_else(|_| text.to_owned()))
}

/// A text, as [`as_text`] has it, for the parser.
pub fn for_parser(text: &str) -> Cow<'_, str> {
    let is_odd = |character: char| character.is_ascii() && is_odd(character as u8);
    if !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let substitute = |character: char| char::from_u32(FIRST + u32::from(character));
    let hide = |character| substitute(character).filter(|_| is_odd(character)).unwrap_or(character);
    Cow::Owned(text.chars().map(hide).collect())
}

/// Whether bytes of a text are hidden.
pub fn has_hidden(text: &str) -> bool {
    text.chars().any(|character| byte_of(character).is_some())
}

/// The text with each odd byte percent-encoded: HTTP/2 takes no other.
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in revealed(text).iter() {
        if is_odd(*byte) {
            use std::fmt::Write as _;
            let _ = write!(encoded, "%{byte:02X}");
        } else {
            encoded.push(char::from(*byte));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&[u8]; 8] = [
        b"/plain?a=%22",
        b"/\"<a>`{b}|c^\\?\"q\"=<>",
        "/caf\u{e9}?q=\u{4f60}".as_bytes(),
        b"/latin-\xe9?\xff\xfe",
        b"/half-\xc3",
        "/\u{10ff22}".as_bytes(),
        b"/\xf4\x8f\xbc",
        b"/",
    ];

    #[test]
    fn what_is_hidden_comes_back() {
        for line in LINES {
            let hidden = String::from_utf8(hidden(line)).unwrap();
            assert!(hidden.parse::<http::uri::PathAndQuery>().is_ok(), "{hidden:?}");
            assert_eq!(&*revealed(&hidden), line);
            assert_eq!(&*revealed(&for_parser(&as_text(&hidden))), line);
            let text = as_text(&hidden);
            if let Ok(written) = std::str::from_utf8(line)
                && !written.contains('\u{10ff22}')
            {
                assert_eq!(text, written, "a text is itself, as before");
            }
        }
    }

    #[test]
    fn two_lines_stay_two() {
        let texts: std::collections::HashSet<String> = LINES
            .iter()
            .chain(&[b"/\"".as_slice(), b"/%22", b"/latin-%E9?\xff\xfe"])
            .map(|line| as_text(&String::from_utf8(hidden(line)).unwrap()).into_owned())
            .collect();
        assert_eq!(texts.len(), LINES.len() + 3);
    }

    #[test]
    fn http2_gets_a_legal_path() {
        let hidden = String::from_utf8(hidden(b"/\"\xe9<?a=%22")).unwrap();
        assert_eq!(percent_encoded(&hidden), "/%22%E9%3C?a=%22");
    }
}
