//! Masks members of a JSON text and leaves every other byte as it is. A string in it that is itself
//! JSON with a secret, or a URL with one, is masked as a whole; in any other string only the secret.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserializer as _, de};
use serde_json::value::RawValue;
use store_core::model::Json;

use super::mask::MASK;
use super::names::{holds_a_name, holds_a_value, is_name_of_secret, mentions_secret, names_secret};
use super::{text, url};

/// How deep strings within strings are read as JSON. Deeper ones are masked if a word in them names
/// a secret.
const MAX_TEXTS: u8 = 2;

/// A secret in a JSON text, and the JSON that replaces it.
struct Secret {
    place: Range<usize>,
    json: String,
}

/// `text` with its secrets replaced. `None`: it cannot be read member by member (a lone surrogate
/// in a name).
///
/// `text` must be valid JSON, nested no deeper than the store allows.
pub(super) fn masked(text: &str) -> Option<Cow<'_, str>> {
    let mut secrets = Vec::new();
    collect(text, text, MAX_TEXTS, &mut secrets).ok()?;
    if secrets.is_empty() {
        return Some(Cow::Borrowed(text));
    }
    secrets.sort_by_key(|secret| secret.place.start);
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    for Secret { place, json } in secrets {
        masked.push_str(&text[at..place.start]);
        masked.push_str(&json);
        at = place.end;
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

/// Appends the secrets in `part`, which is a value within `whole`.
fn collect(
    whole: &str,
    part: &str,
    texts: u8,
    secrets: &mut Vec<Secret>,
) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(part);
    match part.as_bytes().first() {
        Some(b'{') => reader.deserialize_map(Children { whole, texts, secrets }),
        Some(b'[') => reader.deserialize_seq(Children { whole, texts, secrets }),
        Some(b'"') => {
            secrets.extend(masked_string(part, texts).map(|json| at(whole, part, json)));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A string as it is written, masked. `None`: there is nothing to mask.
fn masked_string(written: &str, texts: u8) -> Option<String> {
    let quoted = |mask: &str| format!("\"{mask}\"");
    // One with a lone surrogate is read as it is written.
    let Ok(text) = read(written) else {
        return mentions_secret(written).then(|| quoted(MASK));
    };
    if hides(&text, texts) {
        return Some(quoted(MASK));
    }
    match text::masked(&text) {
        Cow::Borrowed(_) => None,
        Cow::Owned(masked) => Some(serde_json::Value::String(masked).to_string()),
    }
}

/// The text of a string as it is written.
fn read(written: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    match written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(text) if !text.contains('\\') => Ok(Cow::Borrowed(text)),
        _ => serde_json::from_str(written).map(Cow::Owned),
    }
}

fn at(whole: &str, part: &str, json: String) -> Secret {
    Secret { place: place(whole, part), json }
}

/// The position of `part` in `whole`, which it is borrowed from, by their addresses.
fn place(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

struct Children<'a> {
    whole: &'a str,
    texts: u8,
    secrets: &'a mut Vec<Secret>,
}

impl Children<'_> {
    fn mask(&mut self, value: &str) {
        if value != "null" {
            self.secrets.push(at(self.whole, value, format!("\"{MASK}\"")));
        }
    }

    fn look<E: de::Error>(&mut self, value: &str) -> Result<(), E> {
        collect(self.whole, value, self.texts, self.secrets).map_err(E::custom)
    }
}

impl<'de> Visitor<'de> for Children<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<&'de RawValue>()? {
            let name = name.get();
            let own = read(name).map_err(de::Error::custom)?;
            // Names can be secrets, too: of a map by key.
            if let Cow::Owned(masked) = text::masked(&own) {
                let json = serde_json::Value::String(masked).to_string();
                self.secrets.push(at(self.whole, name, json));
            }
            members.push((own, map.next_value::<&'de RawValue>()?.get()));
        }
        let names_one = |(name, value): &(Cow<'_, str>, &str)| {
            value.starts_with('"')
                && holds_a_name(name)
                && read(value).is_ok_and(|text| is_name_of_secret(&text))
        };
        let is_named = members.iter().any(names_one);
        for (name, value) in members {
            let is_value = is_named && holds_a_value(&name) && !value.starts_with(['{', '[']);
            if names_secret(&name) || is_value {
                self.mask(value);
            } else {
                self.look(value)?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let (mut count, mut pair) = (0_usize, ["", ""]);
        while let Some(value) = seq.next_element::<&'de RawValue>()? {
            if let Some(place) = pair.get_mut(count) {
                *place = value.get();
            } else {
                self.look(value.get())?;
            }
            count += 1;
        }
        let [name, value] = pair;
        let text = if name.starts_with('"') { read(name).unwrap_or_default() } else { "".into() };
        if count == 2 && is_name_of_secret(&text) && is_value(value) {
            self.mask(value);
            return Ok(());
        }
        pair.into_iter().take(count).try_for_each(|value| self.look(value))
    }
}

/// Whether the second of two elements is rather a value than another name.
fn is_value(written: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-' | b'"');
    !written.starts_with(['{', '[']) && !written.bytes().all(is_name)
}
