//! Text in the charsets that JSON comes in, as UTF-8.

use std::borrow::Cow;

use http::header::HeaderMap;

use super::forms::kind::media_type;

const UTF8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
const UTF16_LE_MARK: &[u8] = &[0xff, 0xfe];
const UTF16_BE_MARK: &[u8] = &[0xfe, 0xff];
const UTF32_LE_MARK: &[u8] = &[0xff, 0xfe, 0, 0];

/// A body without content coding as UTF-8 and without a byte order mark, which outranks the
/// charset (RFC 3629, 6; WHATWG Encoding, 6). `None`: its charset is not known here, or does not
/// match. UTF-16 is also recognised without either, by its first character (RFC 4627, 3).
pub fn to_utf8<'a>(headers: &HeaderMap, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    if let Some(text) = body.strip_prefix(UTF8_MARK) {
        return Some(Cow::Borrowed(text));
    }
    if body.starts_with(UTF32_LE_MARK) {
        return None;
    }
    if let Some(text) = body.strip_prefix(UTF16_LE_MARK) {
        return utf16(text, u16::from_le_bytes);
    }
    if let Some(text) = body.strip_prefix(UTF16_BE_MARK) {
        return utf16(text, u16::from_be_bytes);
    }
    let media = media_type(headers);
    let charset = media.as_ref().and_then(|media| media.get_param(mime::CHARSET));
    match charset.map(|charset| charset.as_str().to_ascii_lowercase()).as_deref() {
        Some("utf-16le") => utf16(body, u16::from_le_bytes),
        Some("utf-16be") => utf16(body, u16::from_be_bytes),
        None | Some("utf-16" | "utf-8") => match body {
            [0, second, ..] if *second != 0 => utf16(body, u16::from_be_bytes),
            [first, 0, rest @ ..] if *first != 0 && rest.first() != Some(&0) => {
                utf16(body, u16::from_le_bytes)
            }
            _ => Some(Cow::Borrowed(body)),
        },
        Some("iso-8859-1" | "latin1" | "windows-1252") => {
            let text: String = body.iter().map(|byte| char::from(*byte)).collect();
            Some(Cow::Owned(text.into_bytes()))
        }
        // Most charsets agree on ASCII; UTF-7 and UTF-32 do not.
        Some(other) => {
            let agrees = body.is_ascii() && !body.contains(&0) && other != "utf-7";
            agrees.then_some(Cow::Borrowed(body))
        }
    }
}

fn utf16(text: &[u8], unit: fn([u8; 2]) -> u16) -> Option<Cow<'_, [u8]>> {
    let (pairs, rest) = text.as_chunks::<2>();
    let text: Result<String, _> =
        char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect();
    text.ok().filter(|_| rest.is_empty()).map(|text| Cow::Owned(text.into_bytes()))
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_TYPE, HeaderValue};

    use super::*;

    fn read(kind: &'static str, body: &[u8]) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        to_utf8(&headers, body).map(|text| String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn json_is_read_in_the_charsets_that_it_comes_in() {
        const JSON: &str = "application/json";
        let text = "{\"a\":\"é\u{1f600}\"}";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (kind, body) in [
            (JSON, text.as_bytes().to_vec()),
            (JSON, [UTF8_MARK, text.as_bytes()].concat()),
            (JSON, [UTF16_LE_MARK, &le].concat()),
            (JSON, [UTF16_BE_MARK, &be].concat()),
            (JSON, le.clone()),
            (JSON, be.clone()),
            ("application/json; charset=utf-16le", le.clone()),
            ("application/json; charset=UTF-16BE", be.clone()),
            ("application/json; charset=utf-16", be),
        ] {
            assert_eq!(read(kind, &body).as_deref(), Some(text), "{kind} {body:?}");
        }
        let latin = read("text/plain; charset=iso-8859-1", b"\xe9");
        assert_eq!(latin.as_deref(), Some("é"));
        assert_eq!(read("text/plain; charset=koi8-r", b"no").as_deref(), Some("no"));
        assert_eq!(read("text/plain; charset=koi8-r", b"\xc4\xc1"), None);
        assert_eq!(read(JSON, &le[..le.len() - 1]), None);
        assert_eq!(read(JSON, b"\xff\xfe\0\0{\0\0\0"), None);
    }
}
