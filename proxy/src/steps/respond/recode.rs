//! A stored answer in a coding that this request accepts.

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CONTENT_LENGTH, ETAG, HeaderValue};
use proxy_core::http::coding::{canonical_name, decode, names};
use proxy_core::http::hop_by_hop::remove_where;

/// The largest body that is decoded, in bytes.
const MOST: usize = 64 * 1024 * 1024;

/// The body as it was stored. If `codings` (Accept-Encoding, RFC 9110, 12.5.3) exclude its content
/// coding, it is decoded, under a weak `ETag`. `None`: that coding cannot be undone.
pub(super) fn acceptable(
    headers: &mut HeaderMap,
    body: &Bytes,
    codings: &[HeaderValue],
) -> Option<Bytes> {
    if is_accepted(headers, codings) || body.is_empty() {
        return Some(body.clone());
    }
    let plain = Bytes::from(decode(headers, body, MOST).ok()?.into_owned());
    remove_where(headers, |name| name == "content-encoding");
    if headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(plain.len()));
    }
    let strong = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    if let Some(strong) = strong
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", strong.as_bytes()].concat())
    {
        headers.insert(ETAG, weak);
    }
    Some(plain)
}

/// Whether a request accepts all codings of a body.
pub(super) fn is_accepted(headers: &HeaderMap, codings: &[HeaderValue]) -> bool {
    names(headers).iter().all(|name| accepts(codings, name))
}

/// Whether a request accepts a coding. Without Accept-Encoding it accepts every one.
fn accepts(codings: &[HeaderValue], coding: &[u8]) -> bool {
    let (mut by_name, mut by_star) = (None, None);
    for entry in codings.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
        let mut parts = entry.split(|byte| *byte == b';');
        let name = canonical_name(parts.next().unwrap_or_default());
        let refused = parts.any(|part| {
            let part = part.trim_ascii();
            let weight = part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q="));
            weight.is_some_and(|weight| weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
        });
        if name == coding {
            by_name = Some(!refused);
        } else if name == b"*" {
            by_star = Some(!refused);
        }
    }
    by_name.or(by_star).unwrap_or(codings.is_empty())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use hyper::header::CONTENT_ENCODING;

    use super::*;

    #[test]
    fn gzip_is_undone_only_for_who_excludes_it() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(b"plain").unwrap();
        let zipped = Bytes::from(encoder.finish().unwrap());
        for (accept, decodes) in [
            (None, false),
            (Some("gzip, br"), false),
            (Some("*"), false),
            (Some("identity"), true),
            (Some("gzip;q=0, *"), true),
            (Some("br, *;q=0.0"), true),
            (Some("x-gzip; q=0.5"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.insert(ETAG, HeaderValue::from_static("\"a\""));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(zipped.len()));
            let codings: Vec<_> = accept.map(HeaderValue::from_static).into_iter().collect();
            let got = acceptable(&mut headers, &zipped, &codings).unwrap();
            assert_eq!(got == "plain", decodes, "{accept:?}");
            assert_eq!(headers.contains_key(CONTENT_ENCODING), !decodes, "{accept:?}");
            assert_eq!(headers[ETAG] == "W/\"a\"", decodes, "{accept:?}");
            assert_eq!(headers[CONTENT_LENGTH], got.len().to_string().as_str());
        }
    }

    #[test]
    fn a_coding_that_cannot_be_undone_goes_only_to_who_accepts_it() {
        for (accept, gets) in [("compress", true), ("*", true), ("gzip", false), ("", false)] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("compress"));
            let got = acceptable(
                &mut headers,
                &Bytes::from_static(b"\x1f\x9d"),
                &[HeaderValue::from_static(accept)],
            );
            assert_eq!(got.is_some(), gets, "{accept:?}");
        }
    }
}
