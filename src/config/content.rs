//! The content of the file: the tables that `settings.rs` declares, rules and routes.

use std::fmt;

use proxy::{Route, Rule};
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::setting::{Declared, ValueForm};
use super::settings::ALL;

/// The content of the file. Other layers provide what it leaves out.
#[derive(Clone, Default)]
pub(super) struct FileContent {
    pub(super) settings: Vec<FileValue>,
    pub(super) routes: Vec<Route>,
    pub(super) rules: Vec<Rule>,
}

/// A setting as written; one text if it is not a list.
#[derive(Clone)]
pub(super) struct FileValue {
    pub(super) declared: &'static Declared,
    pub(super) texts: Vec<String>,
}

impl<'de> Deserialize<'de> for FileContent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut content = Self::default();
        TableSeed { name: String::new(), content: &mut content }.deserialize(from)?;
        Ok(content)
    }
}

/// What a key of a table names.
enum Key {
    Setting(&'static Declared),
    /// A table inside this one, by its full name.
    Table(String),
    Rules,
    Routes,
}

/// Reads a table, by its full name; empty for the top of the file.
struct TableSeed<'a> {
    name: String,
    content: &'a mut FileContent,
}

impl<'de> DeserializeSeed<'de> for TableSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TableSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(KeySeed { table: &self.name })? {
            match key {
                Key::Setting(declared) => {
                    let texts = map.next_value_seed(TextsSeed(declared))?;
                    self.content.settings.push(FileValue { declared, texts });
                }
                Key::Table(name) => {
                    map.next_value_seed(TableSeed { name, content: self.content })?;
                }
                Key::Rules => self.content.rules = map.next_value()?,
                Key::Routes => self.content.routes = map.next_value()?,
            }
        }
        Ok(())
    }
}

/// Reads a key of this table.
struct KeySeed<'a> {
    table: &'a str,
}

impl KeySeed<'_> {
    fn find(&self, key: &str) -> Option<Key> {
        let name =
            if self.table.is_empty() { key.to_owned() } else { format!("{}.{key}", self.table) };
        match name.as_str() {
            "rule" => return Some(Key::Rules),
            "route" => return Some(Key::Routes),
            _ => {}
        }
        ALL.iter().find_map(|declared| match declared.name.strip_prefix(&name)? {
            "" => Some(Key::Setting(declared)),
            rest => rest.starts_with('.').then(|| Key::Table(name.clone())),
        })
    }

    /// The keys of this table.
    fn known(&self) -> Vec<&'static str> {
        let mut known = Vec::new();
        for declared in ALL {
            let below = match self.table {
                "" => Some(declared.name),
                table => declared.name.strip_prefix(table).and_then(|rest| rest.strip_prefix('.')),
            };
            let key = below.and_then(|below| below.split('.').next());
            known.extend(key.filter(|key| !known.contains(key)));
        }
        if self.table.is_empty() {
            known.extend(["rule", "route"]);
        }
        known
    }
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Key, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
        let unknown =
            || E::custom(format!("unknown field `{key}`, expected {}", one_of(&self.known())));
        self.find(key).ok_or_else(unknown)
    }
}

/// Reads the value of a setting as texts.
struct TextsSeed(&'static Declared);

impl<'de> DeserializeSeed<'de> for TextsSeed {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Vec<String>, D::Error> {
        if self.0.is_list {
            from.deserialize_seq(self)
        } else {
            Ok(vec![TextSeed(self.0).deserialize(from)?])
        }
    }
}

impl<'de> Visitor<'de> for TextsSeed {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element_seed(TextSeed(self.0))? {
            texts.push(text);
        }
        Ok(texts)
    }
}

/// Reads one value of a setting as a text, and checks that its type can parse it.
struct TextSeed(&'static Declared);

impl TextSeed {
    fn checked<E: Error>(&self, text: String) -> Result<String, E> {
        if let ValueForm::Word(words) = self.0.form
            && !words.iter().any(|(word, _)| *word == text)
        {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            return Err(E::custom(format!(
                "unknown variant `{text}`, expected {}",
                one_of(&words)
            )));
        }
        (self.0.by_type.shown)(&text, None).map_err(E::custom)?;
        Ok(text)
    }
}

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        match self.0.form {
            ValueForm::Switch | ValueForm::SwitchOff => Ok(bool::deserialize(from)?.to_string()),
            ValueForm::Number => from.deserialize_any(self),
            _ => from.deserialize_str(self),
        }
    }
}

impl Visitor<'_> for TextSeed {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.form {
            ValueForm::Number => "a string or a whole number",
            _ => "a string",
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        self.checked(text.to_owned())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
        if !matches!(self.0.form, ValueForm::Number) {
            return Err(E::invalid_type(serde::de::Unexpected::Signed(number), &self));
        }
        self.checked(number.to_string())
    }
}

/// Lists words as serde does.
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [one] => one.clone(),
        [one, other] => format!("{one} or {other}"),
        many => format!("one of {}", many.join(", ")),
    }
}
