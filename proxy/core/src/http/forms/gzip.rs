//! Undoes gzip, as far as every reader would agree on what comes out.

use std::io::Read as _;

use flate2::bufread::GzDecoder;
use http::header::{CONTENT_ENCODING, HeaderMap};

/// The largest JSON or form that is brought into its canonical form, and the largest body that is
/// unzipped, in bytes; larger ones are compared raw. Multipart bodies are read as a stream.
pub(super) const MAX_IN_MEMORY: usize = 8 * 1024 * 1024;

/// More than this many bytes out of one byte in is taken for an attack.
const MAX_RATIO: usize = 200;
/// The ratio is not looked at below this size.
const RATIO_FROM: usize = 64 * 1024;

/// Is gzip the one coding of the message.
pub(super) fn is_only_coding(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => ["gzip", "x-gzip"]
            .iter()
            .any(|name| value.as_bytes().trim_ascii().eq_ignore_ascii_case(name.as_bytes())),
        _ => false,
    }
}

/// What `zipped` unzips to. `None` where it is damaged, has bytes behind its one member (some
/// readers stop there, some go on), or is over 8 MiB or the ratio.
pub(super) fn undo(zipped: &[u8]) -> Option<Vec<u8>> {
    let limit = MAX_IN_MEMORY.min(zipped.len().saturating_mul(MAX_RATIO).max(RATIO_FROM));
    let mut decoder = GzDecoder::new(zipped);
    let mut plain = Vec::new();
    decoder.by_ref().take(limit as u64 + 1).read_to_end(&mut plain).ok()?;
    (plain.len() <= limit && decoder.into_inner().is_empty()).then_some(plain)
}
