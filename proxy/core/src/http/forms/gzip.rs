//! Undoes gzip, if every reader would get the same bytes.

use std::io::Read as _;

use flate2::bufread::GzDecoder;
use http::header::{CONTENT_ENCODING, HeaderMap};

/// The largest JSON or form that is brought into its canonical form, and the largest body that is
/// unzipped, in bytes. Larger ones are compared raw. Multipart bodies are read as a stream.
pub(super) const MAX_IN_MEMORY: usize = 8 * 1024 * 1024;

/// More bytes than this out of one byte are an attack.
const MAX_RATIO: usize = 200;
/// The ratio does not matter below this size, in bytes.
const RATIO_FROM: usize = 64 * 1024;

/// Whether gzip is the only coding of the message.
pub(super) fn is_only_coding(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => ["gzip", "x-gzip"]
            .iter()
            .any(|name| value.as_bytes().trim_ascii().eq_ignore_ascii_case(name.as_bytes())),
        _ => false,
    }
}

/// The most bytes that a coded body may be decoded to.
pub(super) fn limit(coded: &[u8]) -> usize {
    MAX_IN_MEMORY.min(coded.len().saturating_mul(MAX_RATIO).max(RATIO_FROM))
}

/// What `zipped` unzips to. `None`: it is damaged, has bytes behind its first member (some readers
/// stop there, some go on), or exceeds 8 MiB or the ratio.
pub(super) fn undo(zipped: &[u8]) -> Option<Vec<u8>> {
    let limit = limit(zipped);
    let mut decoder = GzDecoder::new(zipped);
    let mut plain = Vec::new();
    decoder.by_ref().take(limit as u64 + 1).read_to_end(&mut plain).ok()?;
    (plain.len() <= limit && decoder.into_inner().is_empty()).then_some(plain)
}
