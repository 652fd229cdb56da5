//! JSON kept as text: it is returned byte for byte as it arrived.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// The maximum nesting depth; `RawValue` itself does not check it.
pub const MAX_DEPTH: usize = 128;

/// One JSON value as the text that was sent. 30-digit integers, 1.00000000000000000001 and duplicate
/// member names survive, since it is never parsed into numbers or maps.
#[derive(Clone)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(type = "unknown"))]
pub struct Json(Box<RawValue>);

/// Why a text was refused as JSON.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not one JSON value.
    #[error("not valid JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    Depth,
}

impl Json {
    /// Parses a text that is one JSON value; surrounding whitespace is dropped.
    pub fn parse(text: impl Into<String>) -> Result<Self, JsonError> {
        let json = Self(RawValue::from_string(text.into())?);
        json.check_depth()?;
        Ok(json)
    }

    /// The JSON text of `value`.
    ///
    /// # Panics
    /// If `value` cannot be written as JSON, for example a map whose keys are not strings.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        Self(serde_json::value::to_raw_value(value).expect("the value is written as JSON"))
    }

    /// The text, as it arrived.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Decodes the text into `T`.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }

    /// Wraps a text that this store wrote, without checking its depth.
    pub fn stored(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// The nesting depth of arrays and objects.
    pub fn depth(&self) -> usize {
        let (mut deepest, mut depth, mut in_string, mut escaped) = (0_usize, 0, false, false);
        for byte in self.0.get().bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b'}' | b']' if !in_string => depth -= 1,
                _ => {}
            }
        }
        deepest
    }

    fn check_depth(&self) -> Result<(), JsonError> {
        if self.depth() > MAX_DEPTH { Err(JsonError::Depth) } else { Ok(()) }
    }
}

impl Default for Json {
    /// The empty object.
    fn default() -> Self {
        Self::of(&serde_json::Map::new())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Json {
    /// Equal texts; `1` and `1.0` differ.
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Self(Box::<RawValue>::deserialize(deserializer)?);
        json.check_depth().map_err(serde::de::Error::custom)?;
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives() {
        let text = r#"{"n":123456789012345678901234567890,"f":1.00000000000000000001,"n":2}"#;
        let json: Json = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&json).unwrap(), text);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert_eq!(Json::parse(nested(MAX_DEPTH)).unwrap().depth(), MAX_DEPTH);
        assert!(matches!(Json::parse(nested(MAX_DEPTH + 1)), Err(JsonError::Depth)));
        assert!(Json::parse(format!("\"{}\"", "[\\\"".repeat(200))).is_ok());
    }
}
