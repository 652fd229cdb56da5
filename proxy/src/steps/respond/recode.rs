//! A stored answer in a coding that this request accepts.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderValue};
use proxy_core::http::hop_by_hop::remove_where;

/// The largest body that is decoded, in bytes. A larger one stays as it is.
const MOST: u64 = 64 * 1024 * 1024;

/// The body as it was stored. If `codings` (Accept-Encoding, RFC 9110, 12.5.3) exclude its gzip, it
/// is decoded, under a weak `ETag`. Other codings stay: no answer at all would be worse.
pub(super) fn acceptable(headers: &mut HeaderMap, body: &Bytes, codings: &[HeaderValue]) -> Bytes {
    let gzip = headers.get(CONTENT_ENCODING).is_some_and(|coding| is_gzip(coding.as_bytes()));
    if !gzip || accepts_gzip(codings) {
        return body.clone();
    }
    let Some(plain) = decoded(body) else { return body.clone() };
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
    plain
}

fn is_gzip(coding: &[u8]) -> bool {
    let coding = coding.trim_ascii();
    coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip")
}

/// Whether a request accepts gzip. Without Accept-Encoding it accepts every coding.
fn accepts_gzip(codings: &[HeaderValue]) -> bool {
    let (mut by_name, mut by_star) = (None, None);
    for entry in codings.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
        let mut parts = entry.split(|byte| *byte == b';');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let refused = parts.any(|part| {
            let part = part.trim_ascii();
            let weight = part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q="));
            weight.is_some_and(|weight| weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
        });
        if is_gzip(name) {
            by_name = Some(!refused);
        } else if name == b"*" {
            by_star = Some(!refused);
        }
    }
    by_name.or(by_star).unwrap_or(codings.is_empty())
}

fn decoded(body: &[u8]) -> Option<Bytes> {
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(body).take(MOST + 1).read_to_end(&mut plain).ok()?;
    (read as u64 <= MOST).then(|| Bytes::from(plain))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

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
            let got = acceptable(&mut headers, &zipped, &codings);
            assert_eq!(got == "plain", decodes, "{accept:?}");
            assert_eq!(headers.contains_key(CONTENT_ENCODING), !decodes, "{accept:?}");
            assert_eq!(headers[ETAG] == "W/\"a\"", decodes, "{accept:?}");
            assert_eq!(headers[CONTENT_LENGTH], got.len().to_string().as_str());
        }
    }
}
