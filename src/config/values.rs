//! The types of values in flags, the environment and the file.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proxy::{EgressProxy, HostPattern, Span, UpstreamCa};
use subtle::ConstantTimeEq as _;

use super::setting::SettingValue;

/// A bearer token. `Debug` and `Display` hide it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// The text itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Compares in constant time.
    pub(crate) fn matches(&self, candidate: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(candidate).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "a token must be one or more printable ASCII characters, without spaces".to_owned()
            );
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
            other => return Err(format!("unknown unit {other:?}: use B, KiB, MiB or GiB")),
        };
        let number: u64 =
            digits.parse().map_err(|_| "not a size: use bytes, or 16MiB, 1GiB".to_owned())?;
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

/// A port that is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Port(pub(crate) u16);

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port: Option<NonZeroU16> = text.parse().ok();
        port.map(|port| Self(port.get()))
            .ok_or_else(|| format!("a port must be 1 to 65535: {text}"))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A path; in the file it is relative to the folder of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilePath(pub(crate) PathBuf);

impl FromStr for FilePath {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.into()))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// A file of CA certificates, `[HOST=]FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrustedCa {
    hosts: Option<HostPattern>,
    file: PathBuf,
}

impl From<TrustedCa> for UpstreamCa {
    fn from(TrustedCa { hosts, file }: TrustedCa) -> Self {
        Self { hosts, file }
    }
}

impl FromStr for TrustedCa {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (hosts, file) = match text.split_once('=') {
            Some((host, file)) => (Some(host.parse()?), file),
            None => (None, text),
        };
        if file.is_empty() {
            return Err("must be FILE or HOST=FILE".to_owned());
        }
        Ok(Self { hosts, file: file.into() })
    }
}

impl fmt::Display for TrustedCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.hosts {
            write!(f, "{host}=")?;
        }
        write!(f, "{}", self.file.display())
    }
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Human,
    Json,
}

impl LogFormat {
    /// The words, each with its help.
    pub(super) const WORDS: &'static [(&'static str, &'static str)] =
        &[("human", "For people"), ("json", "One JSON object per line")];
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(format!("not a log format: {word}")),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Human => "human",
            Self::Json => "json",
        })
    }
}

impl SettingValue for bool {}
impl SettingValue for String {}
impl SettingValue for SocketAddr {}
impl SettingValue for HostPattern {}
impl SettingValue for Span {}
impl SettingValue for Size {}
impl SettingValue for Port {}
impl SettingValue for Token {}
impl SettingValue for LogFormat {}

impl SettingValue for EgressProxy {
    fn holds_secret(&self) -> bool {
        self.has_credentials()
    }
}

impl SettingValue for FilePath {
    fn beside(self, folder: &Path) -> Self {
        Self(folder.join(self.0))
    }
}

impl SettingValue for TrustedCa {
    fn beside(self, folder: &Path) -> Self {
        Self { file: folder.join(&self.file), ..self }
    }
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
    fn a_token_shows_nothing() {
        let token: Token = "hunter2".parse().unwrap();
        assert_eq!(format!("{token:?} {token}"), "[redacted] [redacted]");
        assert!("".parse::<Token>().is_err());
        assert!("a\nb".parse::<Token>().is_err());
    }
}
