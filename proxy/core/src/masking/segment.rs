//! Segments of paths that are secrets: by their shape, by the segment before them, or because nobody
//! could have chosen them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use uuid::Uuid;

use super::mask::{MASK, mask_of};
use super::names::names_secret;
use super::shapes::is_dense;
use super::text::Text;
use crate::words::words;

/// The shortest segment that is looked at for its entropy.
const LEAST: usize = 24;
/// The shortest run of letters and digits that a segment behind a hint is masked for.
const LEAST_HINTED: usize = 16;

/// A path with its secrets masked.
pub(super) fn masked(path: Text<'_>) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut changed = false;
    let (mut hinted, mut before) = (false, "");
    for (number, text) in path.text.split('/').enumerate() {
        if number > 0 {
            masked.push('/');
        }
        match mask_of_segment(path.part(text), hinted, before) {
            Some(segment) => {
                masked.push_str(&segment);
                changed = true;
            }
            None => masked.push_str(text),
        }
        hinted |= is_hint(text);
        before = text;
    }
    if changed { Cow::Owned(masked) } else { Cow::Borrowed(path.text) }
}

/// `None`: nothing in it is a secret.
fn mask_of_segment(segment: Text<'_>, hinted: bool, before: &str) -> Option<String> {
    let decoded = percent_decode_str(segment.text).decode_utf8_lossy();
    let found = Text { text: &decoded, ..segment }.findings();
    if !found.is_empty() {
        return Some(match Text::masked(segment) {
            Cow::Owned(masked) => masked,
            Cow::Borrowed(_) => found.into_iter().next()?.mask,
        });
    }
    let is_code = !before.is_empty()
        && (4..=8).contains(&decoded.len())
        && decoded.bytes().all(|byte| byte.is_ascii_digit())
        && words(before).iter().any(|word| ["otp", "pin", "totp"].contains(&word.as_str()));
    if is_code || hinted && is_dense(&decoded, LEAST_HINTED) && !is_id(&decoded) {
        return Some(MASK.to_owned());
    }
    let is_random = decoded.split('.').any(|part| is_random(part) && !is_id(part));
    is_random.then(|| mask_of("high-entropy"))
}

/// Whether what follows a segment may be the only secret of a URL: that of a web hook, of a reset.
fn is_hint(segment: &str) -> bool {
    const WORDS: &[&str] = &[
        "activate",
        "confirm",
        "hook",
        "hooks",
        "invite",
        "magic",
        "reset",
        "unsubscribe",
        "verify",
        "webhook",
        "webhooks",
    ];
    names_secret(segment) || words(segment).iter().any(|word| WORDS.contains(&word.as_str()))
}

/// Whether a text is an id of a usual kind: a UUID, a ULID, or one behind the name of its type, as
/// in `pi_3MtwBwLkdIwHu7ix28a3tqPa`.
fn is_id(text: &str) -> bool {
    let is_ulid =
        text.len() == 26 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let is_typed = text.split_once('_').is_some_and(|(kind, id)| {
        (2..=12).contains(&kind.len())
            && kind.bytes().all(|byte| byte.is_ascii_lowercase())
            && (8..=32).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    is_ulid || is_typed || Uuid::try_parse(text).is_ok_and(|_| text.contains('-'))
}

/// Whether a text is too irregular for words, dates and numbers: letters in both cases and digits,
/// which change places as often as if they were drawn.
fn is_random(text: &str) -> bool {
    #[derive(PartialEq, Eq, Clone, Copy)]
    enum Class {
        Lower,
        Upper,
        Digit,
    }
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=');
    let longest = text.split(['-', '_', '=']).map(str::len).max().unwrap_or_default();
    if text.len() < LEAST || longest < LEAST / 2 || !text.bytes().all(is_of_token) {
        return false;
    }
    let classes: Vec<Class> = text
        .bytes()
        .filter_map(|byte| match byte {
            b'a'..=b'z' => Some(Class::Lower),
            b'A'..=b'Z' => Some(Class::Upper),
            b'0'..=b'9' => Some(Class::Digit),
            _ => None,
        })
        .collect();
    let changes = classes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    [Class::Lower, Class::Upper, Class::Digit].iter().all(|class| classes.contains(class))
        && changes * 5 >= classes.len() * 2
}
