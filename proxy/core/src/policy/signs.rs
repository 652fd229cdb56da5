//! What in an answer a rule goes by: its status, members of its body, words in its text.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;

use http::header::HeaderMap;
use serde::de::{Error as _, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use store_core::canonical;

use super::rule_values::{Field, Scalar, one_or_many};
use crate::http::charset::to_utf8;
use crate::http::forms::kind::{decoded, media_type};

/// The members of an answer, and the values that give it a meaning. Any of them does.
pub(super) type Members = BTreeMap<Field, Scalar>;

/// The answers that leave the outcome unknown, by `unknown_if`. Any of the signs does.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct UnknownSigns {
    statuses: Vec<u16>,
    /// Parts of the text, in lower case.
    texts: Vec<String>,
    pub(super) members: Members,
}

/// The body of an answer, read at most once, and only if somebody asks.
pub(super) struct AnswerBody<'a> {
    headers: &'a HeaderMap,
    /// `None`: it is too large to be read.
    bytes: Option<&'a [u8]>,
    read: OnceCell<Option<AnswerText>>,
}

/// What a body says.
pub(super) struct AnswerText {
    /// In UTF-8. What is not text has replacement characters.
    text: String,
    /// If it is JSON that every reader reads alike: its canonical form.
    pub(super) json: Option<String>,
}

impl<'a> AnswerBody<'a> {
    pub(super) fn new(headers: &'a HeaderMap, bytes: Option<&'a [u8]>) -> Self {
        Self { headers, bytes, read: OnceCell::new() }
    }

    /// `None`: it cannot be read, so that it may say anything.
    pub(super) fn read(&self) -> Option<&AnswerText> {
        self.read.get_or_init(|| AnswerText::read(self.headers, self.bytes?)).as_ref()
    }
}

impl AnswerText {
    fn read(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let plain = decoded(headers, body)?;
        let text = to_utf8(headers, &plain)?;
        let json = canonical::json(&text).and_then(|form| String::from_utf8(form).ok());
        if json.is_none() && claims_json(headers, &text) {
            return None;
        }
        Some(Self { text: String::from_utf8_lossy(&text).into_owned(), json })
    }

    fn has_any(&self, members: &Members) -> bool {
        self.json.as_ref().is_some_and(|json| {
            members.iter().any(|(field, value)| field.0.get(json) == Some(value.0.as_str()))
        })
    }
}

/// Whether readers will take a text for one JSON document.
fn claims_json(headers: &HeaderMap, text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let media = media_type(headers);
    let named = media.as_ref().map(|media| (media.type_(), media.subtype(), media.suffix()));
    match named {
        _ if text.is_empty() => false,
        Some((_, mime::JSON, _) | (_, _, Some(mime::JSON))) => true,
        None | Some((mime::TEXT, mime::PLAIN | mime::HTML, _)) => {
            matches!(text.first(), Some(b'{' | b'['))
        }
        Some(_) => false,
    }
}

/// Whether a body has one of the members. `None`: it cannot be read.
pub(super) fn has_any(members: &Members, body: &AnswerBody<'_>) -> Option<bool> {
    if members.is_empty() {
        return Some(false);
    }
    body.read().map(|text| text.has_any(members))
}

impl UnknownSigns {
    /// Whether an answer has one of the signs. `None`: that depends on a body that cannot be read.
    pub(super) fn found(&self, status: u16, body: &AnswerBody<'_>) -> Option<bool> {
        if self.statuses.contains(&status) {
            return Some(true);
        }
        if self.texts.is_empty() && self.members.is_empty() {
            return Some(false);
        }
        body.read().map(|read| {
            let text = || read.text.to_lowercase();
            let spoken = || read.json.as_ref().map(|json| json.to_lowercase());
            let says = |text: &str| self.texts.iter().any(|part| text.contains(part.as_str()));
            read.has_any(&self.members)
                || !self.texts.is_empty()
                    && (says(&text()) || spoken().is_some_and(|spoken| says(&spoken)))
        })
    }
}

impl<'de> Deserialize<'de> for UnknownSigns {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct SignsVisitor;

        impl<'de> Visitor<'de> for SignsVisitor {
            type Value = UnknownSigns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of `status`, `text` and pointers such as \"/ok\"")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UnknownSigns, A::Error> {
                let mut signs = UnknownSigns::default();
                while let Some(name) = map.next_key::<Cow<'_, str>>()? {
                    match name.as_ref() {
                        "status" => signs.statuses = map.next_value::<Statuses>()?.0,
                        "text" => signs.texts = map.next_value::<Texts>()?.0,
                        pointer if pointer.starts_with('/') => {
                            let field = pointer.parse().map_err(A::Error::custom)?;
                            signs.members.insert(field, map.next_value()?);
                        }
                        other => {
                            return Err(A::Error::custom(format!(
                                "{other:?} must be `status`, `text`, or a pointer such as \"/ok\""
                            )));
                        }
                    }
                }
                Ok(signs)
            }
        }

        from.deserialize_map(SignsVisitor)
    }
}

/// One status, or a list of them.
struct Statuses(Vec<u16>);

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct StatusesVisitor;

        impl<'de> Visitor<'de> for StatusesVisitor {
            type Value = Statuses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status from 100 to 999, or a list of them")
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Statuses, E> {
                let status = u16::try_from(value).ok().filter(|value| (100..=999).contains(value));
                let status = status.ok_or_else(|| E::custom(format!("{value} is not a status")))?;
                Ok(Statuses(vec![status]))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<Statuses, A::Error> {
                let mut statuses = Vec::new();
                while let Some(value) = list.next_element::<i64>()? {
                    let one = Statuses::deserialize(value.into_deserializer())?;
                    statuses.extend(one.0);
                }
                Ok(Statuses(statuses))
            }
        }

        from.deserialize_any(StatusesVisitor)
    }
}

/// One text, or a list of them, in lower case.
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let texts: Vec<String> = one_or_many(from)?;
        if texts.iter().any(|text| text.trim().is_empty()) {
            return Err(D::Error::custom("an empty text is in every answer; remove it"));
        }
        Ok(Self(texts.iter().map(|text| text.to_lowercase()).collect()))
    }
}
