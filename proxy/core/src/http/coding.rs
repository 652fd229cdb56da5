//! Undoes the content codings of a body (RFC 9110, 8.4).

use std::borrow::Cow;
use std::io::{self, Read};

use brotli_decompressor::Decompressor;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, HeaderMap};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The largest body that is decoded to be read, in bytes.
pub const MAX_DECODED: usize = 8 * 1024 * 1024;

/// More codings than this on one body are an attack.
const MAX_CODINGS: usize = 4;
/// The largest window of zstd in HTTP, in bytes (RFC 9659, 3).
const ZSTD_WINDOW: u64 = 8 * 1024 * 1024;
/// How much is decoded at once, in bytes.
const STEP: usize = 64 * 1024;

/// Why a body cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// A coding that is not known here, or too many of them.
    #[error("its content coding is not known")]
    Coding,
    /// Not what the coding says, or not all of it.
    #[error("it does not match its content coding")]
    Damaged,
    /// Larger than the cap.
    #[error("it is too large to be decoded")]
    TooLarge,
}

/// A content coding that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// `bytes` without the codings that `headers` name. Neither it nor any step on the way is larger
/// than `cap` bytes; a body without a coding is returned whatever its size.
pub fn decode<'a>(
    headers: &HeaderMap,
    bytes: &'a [u8],
    cap: usize,
) -> Result<Cow<'a, [u8]>, Undecodable> {
    let mut plain = Cow::Borrowed(bytes);
    for coding in codings(headers)?.into_iter().rev() {
        plain = Cow::Owned(coding.undo(&plain, cap)?);
    }
    Ok(plain)
}

/// The names of the codings in the order in which they were applied: in lower case, without
/// `identity`, and each by its first name.
pub fn names(headers: &HeaderMap) -> Vec<Vec<u8>> {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(canonical_name)
        .filter(|name| !name.is_empty() && name != b"identity")
        .collect()
}

/// The name of a coding in lower case; that of an alias is the one it stands for (RFC 9110,
/// 8.4.1.3).
pub fn canonical_name(name: &[u8]) -> Vec<u8> {
    let name = name.trim_ascii().to_ascii_lowercase();
    if name == b"x-gzip" { b"gzip".to_vec() } else { name }
}

fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, Undecodable> {
    let codings: Option<Vec<Coding>> = names(headers)
        .into_iter()
        .map(|name| match &name[..] {
            b"gzip" => Some(Coding::Gzip),
            b"deflate" => Some(Coding::Deflate),
            b"br" => Some(Coding::Brotli),
            b"zstd" => Some(Coding::Zstd),
            _ => None,
        })
        .collect();
    codings.filter(|codings| codings.len() <= MAX_CODINGS).ok_or(Undecodable::Coding)
}

impl Coding {
    fn undo(self, coded: &[u8], cap: usize) -> Result<Vec<u8>, Undecodable> {
        // The answer to HEAD, and 304, have a coding and no body.
        if coded.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            // RFC 1952, 2.2: a file is one or more members.
            Self::Gzip => read(MultiGzDecoder::new(coded), cap),
            Self::Deflate => deflate(coded, cap),
            Self::Brotli => read(Decompressor::new(coded, STEP), cap),
            Self::Zstd => zstd(coded, cap),
        }
    }
}

/// `deflate` means zlib, and some send the bare deflate stream (RFC 9110, 8.4.1.2).
fn deflate(coded: &[u8], cap: usize) -> Result<Vec<u8>, Undecodable> {
    match read(ZlibDecoder::new(coded), cap) {
        Err(Undecodable::Damaged) => read(DeflateDecoder::new(coded), cap),
        other => other,
    }
}

fn read(decoder: impl Read, cap: usize) -> Result<Vec<u8>, Undecodable> {
    let mut plain = Vec::new();
    decoder
        .take(cap as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|_: io::Error| Undecodable::Damaged)?;
    if plain.len() > cap { Err(Undecodable::TooLarge) } else { Ok(plain) }
}

/// One or more frames, of which some may be skippable (RFC 8878, 3).
fn zstd(mut coded: &[u8], cap: usize) -> Result<Vec<u8>, Undecodable> {
    let mut plain = Vec::new();
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(ZSTD_WINDOW);
    while !coded.is_empty() {
        match decoder.reset(&mut coded) {
            Ok(()) => {}
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                coded = coded.get(length as usize..).ok_or(Undecodable::Damaged)?;
                continue;
            }
            Err(_) => return Err(Undecodable::Damaged),
        }
        frame(&mut decoder, &mut coded, &mut plain, cap)?;
    }
    Ok(plain)
}

fn frame(
    decoder: &mut FrameDecoder,
    coded: &mut &[u8],
    plain: &mut Vec<u8>,
    cap: usize,
) -> Result<(), Undecodable> {
    loop {
        let ended = decoder
            .decode_blocks(&mut *coded, BlockDecodingStrategy::UptoBytes(STEP))
            .map_err(|_| Undecodable::Damaged)?;
        plain.extend(decoder.collect().unwrap_or_default());
        if plain.len() > cap {
            return Err(Undecodable::TooLarge);
        }
        if ended {
            break;
        }
    }
    let sums = decoder.get_checksum_from_data().zip(decoder.get_calculated_checksum());
    match sums {
        Some((stored, own)) if stored != own => Err(Undecodable::Damaged),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
