//! Words of the API, as far as this version knows them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// A word of a closed set, or one that a later version has added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word<T> {
    Known(T),
    Unknown(String),
}

impl<T: PartialEq> Word<T> {
    pub(crate) fn is(&self, value: &T) -> bool {
        matches!(self, Self::Known(known) if known == value)
    }
}

impl<T: fmt::Display> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(value) => value.fmt(f),
            Self::Unknown(word) => f.write_str(word),
        }
    }
}

impl<'de, T: FromStr> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = String::deserialize(from)?;
        Ok(word.parse().map_or_else(|_| Self::Unknown(word), Self::Known))
    }
}
