//! `application/x-www-form-urlencoded`, read byte by byte.

use percent_encoding::percent_decode;
use serde::de::IgnoredAny;

/// One pair of a form, decoded. A name without `=` has no value.
pub type Pair = (Vec<u8>, Option<Vec<u8>>);

/// The pairs of a form in order. `None`: readers differ about it, since a `%` begins no escape, or
/// bytes are not escaped that should be (control characters, space, anything but ASCII).
///
/// Empty pairs stay: some readers count them.
pub fn pairs(body: &[u8]) -> Option<Vec<Pair>> {
    if body.iter().any(|byte| !byte.is_ascii_graphic()) || has_loose_percent(body) {
        return None;
    }
    Some(
        body.split(|byte| *byte == b'&')
            .map(|pair| {
                let (name, value) = split(pair);
                (decode(name), value.map(decode))
            })
            .collect(),
    )
}

/// The pairs of a form. `None`: a reader may read the body differently. It may be JSON or markup
/// that only claims to be a form, as `curl -d '{…}'` does, in which `%` and `+` mean themselves. Or
/// it has a bare `;`, where some readers begin a new pair.
pub(crate) fn undisputed(body: &[u8]) -> Option<Vec<Pair>> {
    // Characters that clients escape in forms, and that other texts are full of.
    let odd = body.iter().any(|byte| b"\"<>\\^`{|};".contains(byte));
    if odd || serde_json::from_slice::<IgnoredAny>(body).is_ok() {
        return None;
    }
    pairs(body)
}

/// Splits one pair, still encoded.
fn split(pair: &[u8]) -> (&[u8], Option<&[u8]>) {
    match pair.iter().position(|byte| *byte == b'=') {
        None => (pair, None),
        Some(at) => (&pair[..at], Some(&pair[at + 1..])),
    }
}

fn has_loose_percent(body: &[u8]) -> bool {
    body.iter().enumerate().any(|(at, byte)| {
        *byte == b'%'
            && !body.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    })
}

fn decode(encoded: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> =
        encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).collect()
}
