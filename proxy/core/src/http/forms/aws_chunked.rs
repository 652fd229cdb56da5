//! Undoes `aws-chunked`, a content coding in which each chunk has its own signature.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>

use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

/// The length that the body has without the coding, as the client announces it.
const LENGTH: &str = "x-amz-decoded-content-length";

/// The header fields of the body without the coding. `None`: it is not the outermost coding, or the
/// length is missing.
pub(super) fn inner(headers: &HeaderMap) -> Option<HeaderMap> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let mut codings = value.to_str().ok()?.split(',').map(str::trim);
    if !codings.next()?.eq_ignore_ascii_case("aws-chunked") || !headers.contains_key(LENGTH) {
        return None;
    }
    let rest: Vec<&str> = codings.filter(|coding| !coding.is_empty()).collect();
    let mut inner = headers.clone();
    inner.remove(CONTENT_ENCODING);
    if !rest.is_empty() {
        inner.insert(CONTENT_ENCODING, HeaderValue::from_str(&rest.join(", ")).ok()?);
    }
    Some(inner)
}

/// The body without the coding. `None`: it does not follow the source, or has a different length
/// from the announced one. What follows the last chunk, trailers and their signature, is left out.
pub(super) fn undo(headers: &HeaderMap, coded: &[u8]) -> Option<Vec<u8>> {
    let announced: usize = headers.get(LENGTH)?.to_str().ok()?.trim().parse().ok()?;
    let mut plain = Vec::new();
    let mut rest = coded;
    loop {
        let (line, after) = line(rest)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).ok()?;
        if size == 0 {
            return (plain.len() == announced).then_some(plain);
        }
        plain.extend_from_slice(after.get(..size)?);
        rest = after[size..].strip_prefix(b"\r\n")?;
    }
}

/// The text before the next CRLF, and what follows it.
fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(coding: &'static str, length: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        headers.insert(LENGTH, HeaderValue::from_static(length));
        headers
    }

    #[test]
    fn chunks_and_their_signatures_are_undone() {
        let coded = b"3;chunk-signature=ab\r\nabc\r\n2;chunk-signature=cd\r\nde\r\n\
            0;chunk-signature=ef\r\nx-amz-checksum-crc32:AA==\r\n\r\n";
        let undone = undo(&headers("aws-chunked", "5"), coded);
        assert_eq!(undone.as_deref(), Some(&b"abcde"[..]));
        assert_eq!(undo(&headers("aws-chunked", "6"), coded), None);
        for damaged in ["", "3\r\nab", "3\r\nabcd\r\n0\r\n", "x\r\n", "3;chunk-signature=ab"] {
            assert_eq!(undo(&headers("aws-chunked", "3"), damaged.as_bytes()), None, "{damaged}");
        }
    }

    #[test]
    fn a_coding_below_stays() {
        let coding = |outer: &'static str| {
            let inner = inner(&headers(outer, "1"))?;
            Some(inner.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap().to_owned()))
        };
        assert_eq!(coding("aws-chunked"), Some(None));
        assert_eq!(coding("AWS-Chunked,gzip"), Some(Some("gzip".to_owned())));
        assert_eq!(coding("gzip, aws-chunked"), None);
        assert_eq!(coding("gzip"), None);
    }
}
