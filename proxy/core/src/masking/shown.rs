//! What is shown of what is stored, with its secrets masked: answers are stored as they came, and so
//! is what clients of the state API store.

use std::borrow::Cow;

use store_core::model::Json;

use super::excerpt::Excerpt;
use super::mask::MASK;
use super::names::is_secret_field;
use super::{json, text, url};

/// A text of any kind: JSON, lines of JSON as NDJSON and server-sent events have, or another.
pub fn text(whole: &str) -> Cow<'_, str> {
    if let Some(masked) = as_json(whole) {
        return masked;
    }
    let lines = if whole.contains(['{', '[']) { by_lines(whole) } else { whole.into() };
    match text::masked(&lines) {
        Cow::Borrowed(_) => lines,
        Cow::Owned(masked) => Cow::Owned(masked),
    }
}

/// The beginning of a longer text: what is at its end may be the beginning of a secret.
pub fn beginning(part: &str) -> Cow<'_, str> {
    Excerpt { text: part, cut: true, depth: 0 }.masked()
}

/// A JSON value.
pub fn json(whole: &Json) -> Cow<'_, Json> {
    match text(whole.as_str()) {
        Cow::Borrowed(_) => Cow::Borrowed(whole),
        Cow::Owned(masked) => Cow::Owned(Json::parse(masked).unwrap_or_else(|_| Json::of(MASK))),
    }
}

/// The value of a header field. `name` is in lower case.
pub fn field(name: &str, value: &str) -> String {
    if is_secret_field(name) {
        return MASK.to_owned();
    }
    text::masked(&url::masked_link(value)).into_owned()
}

/// `None`: it is not JSON that can be masked member by member.
fn as_json(whole: &str) -> Option<Cow<'_, str>> {
    let trimmed = whole.trim_ascii_start();
    if !trimmed.starts_with(['{', '[', '"']) {
        return None;
    }
    let parsed = Json::parse(whole).ok()?;
    match json::masked(parsed.as_str())? {
        Cow::Borrowed(_) => Some(Cow::Borrowed(whole)),
        Cow::Owned(masked) => Some(Cow::Owned(masked)),
    }
}

/// Each line masked that is JSON, also behind the name of a field of an event.
fn by_lines(whole: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut changed = false;
    for line in whole.split_inclusive('\n') {
        let start = line.find(['{', '[']).unwrap_or(line.len());
        let (before, rest) = line.split_at(start);
        let value = rest.trim_ascii_end();
        masked.push_str(before);
        match as_json(value) {
            Some(Cow::Owned(value)) => {
                changed = true;
                masked.push_str(&value);
            }
            _ => masked.push_str(value),
        }
        masked.push_str(&rest[value.len()..]);
    }
    if changed { Cow::Owned(masked) } else { Cow::Borrowed(whole) }
}

#[cfg(test)]
mod tests;
