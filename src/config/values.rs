//! Values that flags, the environment and the file write in the same way.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use proxy::UpstreamCa;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

/// A text that no log and no error may show.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a token is one or more printable ASCII characters, no spaces".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit: u64 = match &text[digits.len()..] {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            other => return Err(format!("the unit {other:?} is none of B, KiB, MiB, GiB")),
        };
        let number: u64 = digits.parse().map_err(|_| "write bytes, or 16MiB, 1GiB".to_owned())?;
        number.checked_mul(unit).map(Self).ok_or_else(|| "too large".to_owned())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units.iter().find(|(unit, _)| self.0 >= *unit && self.0.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A file of CA certificates, `[HOST=]FILE`.
#[derive(Debug, Clone)]
pub(crate) struct TrustedCa(pub(crate) UpstreamCa);

impl FromStr for TrustedCa {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (hosts, file) = match text.split_once('=') {
            Some((host, file)) => (Some(host.parse()?), file),
            None => (None, text),
        };
        if file.is_empty() {
            return Err("write FILE or HOST=FILE".to_owned());
        }
        Ok(Self(UpstreamCa { hosts, file: file.into() }))
    }
}

impl fmt::Display for TrustedCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.0.hosts {
            write!(f, "{host}=")?;
        }
        write!(f, "{}", self.0.file.display())
    }
}

impl<'de> Deserialize<'de> for TrustedCa {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How the log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Human,
    /// One JSON object a line
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Human => "human",
            Self::Json => "json",
        })
    }
}

/// Reads a text, or a whole number as if it were one.
pub(super) fn text<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    struct Reads<T>(PhantomData<T>);

    impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Reads<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }
    }

    from.deserialize_any(Reads(PhantomData)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let size = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("1000"), Ok(1000));
        assert_eq!(size("16MiB"), Ok(16 * 1024 * 1024));
        assert_eq!(size("1GiB"), Ok(1024 * 1024 * 1024));
        for bad in [
            "",
            "MiB",
            "1MB",
            "1 MiB",
            "-1",
            "1.5GiB",
            "99999999999999999999",
            "18446744073709551615KiB",
        ] {
            assert!(size(bad).is_err(), "{bad}");
        }
        for text in ["0", "1023", "1KiB", "256MiB", "3GiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_secret_shows_nothing() {
        let secret: Secret = "hunter2".parse().unwrap();
        assert_eq!(format!("{secret:?} {secret}"), "[redacted] [redacted]");
        assert!("".parse::<Secret>().is_err());
        assert!("a\nb".parse::<Secret>().is_err());
    }
}
