//! Durations as flags, the environment and the file write them: one type, one parser, one printer.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Units, with their length in milliseconds. `ms` comes before the units that it ends like.
const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A duration such as `250ms`, `30s`, `10m`, `24h` or `7d`; a number without a unit is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = UNITS.iter().find_map(|(name, ms)| Some((text.strip_suffix(name)?, *ms)));
        let (digits, unit_ms) = unit.unwrap_or((text, 1_000));
        let number: u64 = digits.parse().map_err(|_| invalid(text))?;
        if unit_ms >= 1_000 {
            let seconds = number.checked_mul(unit_ms / 1_000);
            return seconds.map(Duration::from_secs).map(Self).ok_or_else(|| invalid(text));
        }
        Ok(Self(Duration::from_millis(number)))
    }
}

/// As it can be read back: whole seconds, else milliseconds.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_millis() {
            0 => write!(f, "{}s", self.0.as_secs()),
            _ => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

fn invalid(text: &str) -> String {
    format!("{text:?} is not a duration: write 250ms, 30s, 10m, 24h or 7d")
}

/// For what may last days, where a number without a unit would be a trap.
pub(crate) fn with_unit<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Span>, D::Error> {
    let text = String::deserialize(from)?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(D::Error::custom(invalid(&text)));
    }
    text.parse().map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Option<u128> {
        text.parse::<Span>().ok().map(|span| span.0.as_millis())
    }

    #[test]
    fn units() {
        for (text, expected) in [
            ("250ms", 250),
            ("0s", 0),
            ("30s", 30_000),
            ("30", 30_000),
            ("10m", 600_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
            ("4294967295d", 4_294_967_295 * 86_400_000),
            ("18446744073709551615s", u128::from(u64::MAX) * 1_000),
        ] {
            assert_eq!(ms(text), Some(expected), "{text}");
        }
        for bad in ["", "s", "ms", "1w", "1.5h", "-1s", "1 s", "1H", "1m30s", "99999999999999999d"]
        {
            assert_eq!(ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for (text, printed) in [("300", "300s"), ("2m", "120s"), ("1500ms", "1500ms"), ("0", "0s")]
        {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string(), printed);
            assert_eq!(printed.parse(), Ok(span));
        }
    }
}
