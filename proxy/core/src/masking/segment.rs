//! Segments of paths that are secrets: by their shape, by the segment before them, or because nobody
//! could have chosen them.

use uuid::Uuid;

use super::mask::{MASK, mask_of};
use super::names::names_secret;
use super::shapes::is_dense;
use crate::words::words;

/// The shortest segment that is looked at for its entropy.
const LEAST: usize = 24;
/// The shortest run of letters and digits that a segment behind a hint is masked for.
const LEAST_HINTED: usize = 16;

/// The segments of a path so far.
#[derive(Default)]
pub(super) struct Segments {
    /// One of them says that a secret may follow.
    hinted: bool,
    /// The last one.
    last: String,
}

impl Segments {
    /// What replaces the next segment, as it is written and decoded. `None`: it is not a secret.
    pub(super) fn mask_of(&mut self, written: &str, decoded: &str) -> Option<String> {
        let hinted = self.hinted;
        let names_code =
            || words(&self.last).iter().any(|word| ["otp", "pin", "totp"].contains(&word.as_str()));
        let is_code = (4..=8).contains(&decoded.len())
            && decoded.bytes().all(|byte| byte.is_ascii_digit())
            && names_code();
        self.hinted |= is_hint(written);
        written.clone_into(&mut self.last);
        if is_code || hinted && is_dense(decoded, LEAST_HINTED) && !is_id(decoded) {
            return Some(MASK.to_owned());
        }
        let is_random = decoded.split('.').any(|part| is_random(part) && !is_id(part));
        is_random.then(|| mask_of("high-entropy"))
    }
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
