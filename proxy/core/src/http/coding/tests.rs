use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::header::HeaderValue;

use super::*;

/// `{"ok":false}` in brotli, as the reference encoder writes it.
const BROTLI: &[u8] = &[
    0x8b, 0x05, 0x80, b'{', b'"', b'o', b'k', b'"', b':', b'f', b'a', b'l', b's', b'e', b'}', 0x03,
];
const PLAIN: &[u8] = br#"{"ok":false}"#;

fn headers(codings: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for coding in codings {
        headers.append(CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    headers
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn raw(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    compress_to_vec(plain, CompressionLevel::Fastest)
}

#[test]
fn every_coding_is_undone() {
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"any"].concat();
    let (first, second) = PLAIN.split_at(5);
    for (codings, coded) in [
        (&[][..], PLAIN.to_vec()),
        (&["identity"], PLAIN.to_vec()),
        (&["gzip"], gzip(PLAIN)),
        (&["X-GZIP"], gzip(PLAIN)),
        (&["gzip"], [gzip(first), gzip(second)].concat()),
        (&["deflate"], zlib(PLAIN)),
        (&["deflate"], raw(PLAIN)),
        (&["br"], BROTLI.to_vec()),
        (&["zstd"], zstd(PLAIN)),
        (&["zstd"], [zstd(first), skippable, zstd(second)].concat()),
        (&["zstd, gzip"], gzip(&zstd(PLAIN))),
        (&["deflate", "identity , zstd"], zstd(&zlib(PLAIN))),
    ] {
        let plain = decode(&headers(codings), &coded, MAX_DECODED);
        assert_eq!(plain.as_deref(), Ok(PLAIN), "{codings:?}");
    }
}

#[test]
fn what_cannot_be_undone_is_refused() {
    let large = vec![b'a'; 1_001];
    for (codings, coded, why) in [
        (&["compress"][..], PLAIN.to_vec(), Undecodable::Coding),
        (&["gzip, gzip, gzip, gzip, gzip"], PLAIN.to_vec(), Undecodable::Coding),
        (&["gzip"], PLAIN.to_vec(), Undecodable::Damaged),
        (&["gzip"], gzip(PLAIN)[..20].to_vec(), Undecodable::Damaged),
        (&["gzip"], [gzip(PLAIN), b"more".to_vec()].concat(), Undecodable::Damaged),
        (&["deflate"], PLAIN.to_vec(), Undecodable::Damaged),
        (&["br"], BROTLI[..9].to_vec(), Undecodable::Damaged),
        (&["zstd"], zstd(PLAIN)[..12].to_vec(), Undecodable::Damaged),
        (&["zstd"], [zstd(PLAIN), b"more".to_vec()].concat(), Undecodable::Damaged),
        (&["gzip"], gzip(&large), Undecodable::TooLarge),
        (&["deflate"], raw(&large), Undecodable::TooLarge),
        (&["zstd"], zstd(&large), Undecodable::TooLarge),
    ] {
        let refused = decode(&headers(codings), &coded, 1_000);
        assert_eq!(refused, Err(why), "{codings:?}");
    }
}
