//! Masks members of a JSON text and leaves every other byte as it is. A string in it that is itself
//! JSON with such a member, or a URL with a secret, is masked as a whole.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserializer as _, de};
use serde_json::value::RawValue;
use store_core::model::Json;

use super::url;
use super::words::{MASK, mentions_secret};
use crate::http::meaning::is_secret_name;

/// How deep strings within strings are read as JSON. Deeper ones are masked if a word in them names
/// a secret.
const MAX_TEXTS: u8 = 2;

/// `text` with the value of each member that is named like a secret replaced. `None`: it cannot be
/// read member by member (a lone surrogate in a name).
///
/// `text` must be valid JSON, nested no deeper than the store allows.
pub(super) fn masked(text: &str) -> Option<Cow<'_, str>> {
    let mut secrets = Vec::new();
    collect(text, text, MAX_TEXTS, &mut secrets).ok()?;
    if secrets.is_empty() {
        return Some(Cow::Borrowed(text));
    }
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    for secret in secrets {
        masked.push_str(&text[at..secret.start]);
        masked.push('"');
        masked.push_str(MASK);
        masked.push('"');
        at = secret.end;
    }
    masked.push_str(&text[at..]);
    Some(Cow::Owned(masked))
}

/// Whether a text is a URL with a secret in it, or JSON, or something like JSON, with a member that
/// is named like a secret.
pub(super) fn hides_secret(text: &str) -> bool {
    hides(text, MAX_TEXTS)
}

fn hides(text: &str, texts: u8) -> bool {
    let text = text.trim_ascii();
    if url::is_link(text) {
        return url::masked_link(text) != text;
    }
    if !text.starts_with(['{', '[', '"']) {
        return false;
    }
    if texts == 0 {
        return mentions_secret(text);
    }
    let Ok(json) = Json::parse(text) else {
        return text.starts_with('{') && mentions_secret(text);
    };
    let mut secrets = Vec::new();
    collect(json.as_str(), json.as_str(), texts - 1, &mut secrets).is_err() || !secrets.is_empty()
}

/// Appends the positions in `whole` of the secrets in `part`, which is a value within it.
fn collect(
    whole: &str,
    part: &str,
    texts: u8,
    secrets: &mut Vec<Range<usize>>,
) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(part);
    match part.as_bytes().first() {
        Some(b'{') => reader.deserialize_map(Children { whole, texts, secrets }),
        Some(b'[') => reader.deserialize_seq(Children { whole, texts, secrets }),
        // A string with a lone surrogate is read as it is written.
        Some(b'"') => {
            let text = serde_json::from_str::<String>(part);
            if text.map_or_else(|_| mentions_secret(part), |text| hides(&text, texts)) {
                secrets.push(place(whole, part));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The position of `part` in `whole`, which it is borrowed from, by their addresses.
fn place(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

struct Children<'a> {
    whole: &'a str,
    texts: u8,
    secrets: &'a mut Vec<Range<usize>>,
}

impl<'de> Visitor<'de> for Children<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value::<&'de RawValue>()?.get();
            if is_secret_name(&name) && value != "null" {
                self.secrets.push(place(self.whole, value));
            } else {
                collect(self.whole, value, self.texts, self.secrets).map_err(de::Error::custom)?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element::<&'de RawValue>()? {
            collect(self.whole, value.get(), self.texts, self.secrets)
                .map_err(de::Error::custom)?;
        }
        Ok(())
    }
}
