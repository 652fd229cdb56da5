//! The values of a rule's settings, as the file writes them.

use std::fmt;
use std::str::FromStr;

use http::Method;
use http::header::HeaderName;
use serde::de::{Error as _, IntoDeserializer as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use store_core::canonical::Pointer;

use super::keyed::KeyPlace;
use crate::http::host_pattern::parsed;

/// A method, in capitals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodName(pub(super) Method);

impl FromStr for MethodName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Method::from_bytes(text.as_bytes())
            .ok()
            .filter(|_| !text.contains(|c: char| c.is_ascii_lowercase()))
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a method; write it in capitals, such as POST"))
    }
}

/// The name of a header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldName(pub(super) HeaderName);

impl FromStr for FieldName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("{text:?} is not a header name"))
    }
}

/// The name of a query parameter, as a server reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterName(pub String);

impl FromStr for ParameterName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.contains(['&', '=', '?', '%']) || text.contains(char::is_control)
        {
            return Err(format!("{text:?} is not a parameter's name; write it without escapes"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A JSON pointer to a part of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field(pub Pointer);

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl PartialOrd for Field {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Field {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.to_string().cmp(&other.0.to_string())
    }
}

/// A value that a body is compared with, as canonical JSON spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar(pub(super) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, a whole number or a text")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Scalar, E> {
                let quoted = serde_json::to_vec(value).map_err(E::custom)?;
                let spelled = store_core::canonical::json(&quoted);
                spelled
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .map(Scalar)
                    .ok_or_else(|| E::custom("the text cannot be written as JSON"))
            }
        }

        from.deserialize_any(ScalarVisitor)
    }
}

macro_rules! read_by_from_str {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                parsed(from)
            }
        }
    )*};
}

read_by_from_str!(MethodName, FieldName, ParameterName, Field, KeyPlace);

/// One value, or a list of them that is not empty.
pub(super) fn one_or_many<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct OneOrMany<T>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            Ok(vec![T::deserialize(text.into_deserializer())?])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut values = Vec::new();
            while let Some(value) = list.next_element()? {
                values.push(value);
            }
            if values.is_empty() {
                return Err(A::Error::custom("the list is empty; remove it"));
            }
            Ok(values)
        }
    }

    from.deserialize_any(OneOrMany(std::marker::PhantomData))
}
