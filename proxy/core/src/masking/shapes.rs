//! The shapes of secrets: what makes a part of a text a credential, whatever it is called.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::excerpt::Excerpt;
use super::prefixes::{Chars, PREFIXES, Prefix};

/// A run of letters and digits that no word is.
const DENSE: usize = 16;

/// How many bytes behind a prefix decide whether it begins a credential.
const SEEN: usize = 128;

impl Excerpt<'_> {
    /// The end of what follows `from` in these characters.
    fn end_of(&self, from: usize, has: impl Fn(u8) -> bool) -> usize {
        let bytes = &self.text.as_bytes()[from..];
        from + bytes.iter().position(|byte| !has(*byte)).unwrap_or(bytes.len())
    }

    /// Whether `least` bytes are there, or the text is cut before that.
    fn suffices(&self, place: &Range<usize>, least: usize) -> bool {
        place.len() >= least || self.cut && place.end == self.text.len()
    }

    /// Whether a credential can begin here: not within a word. An escape before it is none.
    fn begins(&self, at: usize) -> bool {
        let before = &self.text.as_bytes()[..at];
        match before {
            [] | [.., b'\\', b'n' | b'r' | b't'] => true,
            [.., b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => true,
            [.., last] => !last.is_ascii_alphanumeric(),
        }
    }
}

/// The credential with a known beginning at `start`, by its longest beginning.
pub(super) fn prefixed(text: Excerpt<'_>, start: usize) -> Option<(Range<usize>, &'static str)> {
    let rest = &text.text[start..];
    if !text.begins(start) {
        return None;
    }
    let end = |prefix: &Prefix| {
        let from = start + prefix.start.len();
        let end = text.end_of(from, |byte| prefix.chars.has(byte));
        // The end of a sentence.
        end - usize::from(prefix.chars == Chars::Dotted && text.text[..end].ends_with('.'))
    };
    // The end of another beginning, as of `lsv2_sk_`.
    let within = text.text[..start].ends_with(['_', '-']);
    let fits = |prefix: &&Prefix| {
        let from = start + prefix.start.len();
        let seen =
            Excerpt { text: &text.text[..text.text.floor_char_boundary(from + SEEN)], ..text };
        let place = from..seen.end_of(from, |byte| prefix.chars.has(byte));
        text.suffices(&place, prefix.least)
            && (!prefix.dense || !within && is_dense(&text.text[place], DENSE))
    };
    let known = PREFIXES.iter().filter(|prefix| rest.starts_with(prefix.start));
    let longest = known.filter(fits).max_by_key(|prefix| prefix.start.len())?;
    Some((start..end(longest), longest.shape))
}

/// Whether so many letters and digits follow each other, a digit among them.
pub(super) fn is_dense(text: &str, run: usize) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|part| part.len() >= run && part.bytes().any(|byte| byte.is_ascii_digit()))
}

/// The JSON Web Token at `start` (RFC 7519): its header, and at least one more part behind a dot.
/// `Err`: none begins before this place.
pub(super) fn jwt(text: Excerpt<'_>, start: usize) -> Result<Range<usize>, usize> {
    const LEAST: usize = 10;
    if !text.text[start..].starts_with("eyJ") || !text.begins(start) {
        return Err(start);
    }
    let header = text.end_of(start, |byte| Chars::Url.has(byte));
    if text.text.as_bytes().get(header) != Some(&b'.') {
        let is_cut = text.cut && header == text.text.len() && header - start >= LEAST;
        return if is_cut { Ok(start..header) } else { Err(header) };
    }
    if header - start < LEAST {
        return Err(header);
    }
    let end = text.end_of(header, |byte| Chars::Dotted.has(byte));
    let end = header + text.text[header..end].trim_end_matches('.').len();
    let others = header + 1..end.max(header + 1);
    if text.suffices(&others, LEAST) { Ok(start..end) } else { Err(header) }
}

/// The private key at `start`, to its last line (RFC 7468), or to the end of the text.
pub(super) fn pem(whole: Excerpt<'_>, start: usize) -> Option<Range<usize>> {
    let text = whole.text;
    let rest = &text[start..];
    let Some(label) = rest.strip_prefix("-----BEGIN ") else {
        return rest.starts_with("PuTTY-User-Key-File-").then_some(start..text.len());
    };
    let Some((label, body)) = label.split_once("-----") else {
        return whole.cut.then_some(start..text.len());
    };
    if !label.contains("PRIVATE KEY") || label.len() > 64 {
        return None;
    }
    let from = text.len() - body.len();
    let end = body.find("-----END ").and_then(|last| {
        let behind = from + last + "-----END ".len();
        text[behind..].find("-----").map(|dashes| behind + dashes + 5)
    });
    Some(start..end.unwrap_or(text.len()))
}

/// The credential behind the name of a scheme, which it is kept with.
pub(super) fn credential(
    text: Excerpt<'_>,
    scheme: Range<usize>,
) -> Option<(Range<usize>, &'static str)> {
    if !text.begins(scheme.start) {
        return None;
    }
    let name = text.text[scheme.clone()].trim_end().to_ascii_lowercase();
    let start = text.end_of(scheme.end, |byte| byte == b' ');
    let end = text.end_of(start, |byte| Chars::Base64.has(byte) || byte == b'~');
    let end = start + text.text[start..end].trim_end_matches('.').len();
    let token = &text.text[start..end];
    let reaches_end = text.cut && end == text.text.len() && !token.is_empty();
    let is_mixed = token.bytes().any(|byte| byte.is_ascii_digit())
        || token.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
    match name.as_str() {
        "basic" => (is_basic(token) || reaches_end).then_some((start..end, "basic")),
        "bearer" => {
            let is_one = token.len() >= 20 || token.len() >= 8 && is_mixed;
            (is_one || reaches_end).then_some((start..end, "bearer"))
        }
        _ => is_dense(token, DENSE).then_some((start..end, "credential")),
    }
}

/// Whether a text is a user's name and password in base64 (RFC 7617).
fn is_basic(token: &str) -> bool {
    let bare = token.trim_end_matches('=');
    let bytes = STANDARD_NO_PAD.decode(bare).or_else(|_| URL_SAFE_NO_PAD.decode(bare));
    bytes.is_ok_and(|bytes| {
        bytes.contains(&b':') && std::str::from_utf8(&bytes).is_ok_and(|text| !text.contains('\0'))
    })
}

/// The bot token of which `:` is at `colon`: 5 to 16 digits, and 35 characters that begin with `AA`.
pub(super) fn telegram(text: Excerpt<'_>, colon: usize) -> Option<Range<usize>> {
    let before = &text.text.as_bytes()[..colon];
    let digits = before.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let end = text.end_of(colon + 1, |byte| Chars::Url.has(byte));
    let begins = text.begins(colon - digits) || text.text[..colon - digits].ends_with("bot");
    ((5..=16).contains(&digits)
        && begins
        && text.text[colon..].starts_with(":AA")
        && text.suffices(&(colon + 1..end), 30))
    .then_some(colon - digits..end)
}

/// The token around a part that is distinctive, with so many bytes before and behind it.
pub(super) fn around(
    text: Excerpt<'_>,
    part: Range<usize>,
    before: usize,
    behind: usize,
) -> Option<Range<usize>> {
    let bytes = &text.text.as_bytes()[..part.start];
    let own = bytes.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let end = text.end_of(part.end, |byte| Chars::Url.has(byte));
    (own >= before && text.suffices(&(part.end..end), behind)).then_some(part.start - own..end)
}

/// A client secret of Entra ID: three characters and a digit before `Q~`, and 31 to 34 behind.
pub(super) fn entra(text: Excerpt<'_>, at: usize) -> Option<Range<usize>> {
    let is_of_it = |byte: u8| Chars::Dotted.has(byte) || byte == b'~';
    let bytes = text.text.as_bytes();
    let start = at.checked_sub(4)?;
    let begins = text.text[at..].starts_with("Q~")
        && bytes[at - 1].is_ascii_digit()
        && bytes[start..at].iter().all(|byte| is_of_it(*byte));
    if !begins {
        return None;
    }
    let end = text.end_of(at + 2, is_of_it);
    text.suffices(&(at + 2..end), 31).then_some(start..end)
}

/// A key of Mailchimp: 32 hexadecimal digits before the name of a data centre.
pub(super) fn mailchimp(text: &str, part: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let start = part.start.checked_sub(32)?;
    let digits = bytes[part.end..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_alone = start == 0 || !bytes[start - 1].is_ascii_alphanumeric();
    (is_alone
        && (1..=2).contains(&digits)
        && bytes[start..part.start].iter().all(u8::is_ascii_hexdigit))
    .then_some(start..part.end + digits)
}

/// Where base64 that begins at `from` ends.
pub(super) fn end_of_base64(text: &str, from: usize) -> usize {
    let rest = &text.as_bytes()[from..];
    from + rest.iter().position(|byte| !Chars::Base64.has(*byte)).unwrap_or(rest.len())
}
