//! Masks members of a JSON text and leaves every other byte as it is.

use std::fmt;
use std::ops::Range;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserializer as _, de};
use serde_json::value::RawValue;

use super::MASK;
use crate::headers::is_secret_name;

/// `text` with the value of each member that is named like a secret replaced. `None` where it cannot
/// be read member by member (a lone surrogate in a name).
///
/// `text` is valid JSON, nested no deeper than the store allows.
pub(super) fn masked(text: &str) -> Option<String> {
    let mut secrets = Vec::new();
    collect(text, text, &mut secrets).ok()?;
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
    Some(masked)
}

/// Appends the places in `whole` of the secrets that stand in `part`, a value within it.
fn collect(
    whole: &str,
    part: &str,
    secrets: &mut Vec<Range<usize>>,
) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(part);
    match part.as_bytes().first() {
        Some(b'{') => reader.deserialize_map(Children { whole, secrets }),
        Some(b'[') => reader.deserialize_seq(Children { whole, secrets }),
        _ => Ok(()),
    }
}

struct Children<'a> {
    whole: &'a str,
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
                // The value is borrowed from `whole`, so the addresses tell its place.
                let start = value.as_ptr().addr() - self.whole.as_ptr().addr();
                self.secrets.push(start..start + value.len());
            } else {
                collect(self.whole, value, self.secrets).map_err(de::Error::custom)?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element::<&'de RawValue>()? {
            collect(self.whole, value.get(), self.secrets).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}
