//! Patterns with stars, for paths and for names of tools.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::http::host_pattern::parsed;

/// A path with `*` for any characters within a segment and `**` for any characters at all.
/// Compared with the path as the request writes it, without its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern(String);

impl PathPattern {
    /// Whether the pattern matches the whole of `path`.
    pub fn matches(&self, path: &str) -> bool {
        path_matches(&self.0, path)
    }
}

/// Whether `pattern`, in the language of a [`PathPattern`], matches `path`.
pub(super) fn path_matches(pattern: &str, path: &str) -> bool {
    is_match(pattern.as_bytes(), path.as_bytes(), Some(b'/'))
}

impl FromStr for PathPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = if !text.starts_with('/') && !text.starts_with("**") {
            "must start with a slash"
        } else if text.contains('?') {
            "has a query, and only the path is compared"
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            "has characters that a request writes as %XX"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(format!("{text:?} {fault}; write a path such as /v1/messages or /v1/*/send or /v1/**"))
    }
}

/// A tool's name with `*` for any characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(String);

impl NamePattern {
    /// Whether the pattern matches the whole of `name`.
    pub fn matches(&self, name: &str) -> bool {
        is_match(self.0.as_bytes(), name.as_bytes(), None)
    }
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a tool's name is empty; write its name, or a part of it and *".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parsed(from)
    }
}

impl<'de> Deserialize<'de> for NamePattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parsed(from)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `*` stands for any bytes but `within`, `**` for any. Takes time at most in proportion to the
/// product of the lengths, for each kind of star: a failure goes back only to the last star of a
/// kind.
fn is_match(pattern: &[u8], text: &[u8], within: Option<u8>) -> bool {
    let (mut p, mut t) = (0, 0);
    // The position behind the star, and the last position in the text that it was tried at.
    let mut narrow: Option<(usize, usize)> = None;
    let mut wide: Option<(usize, usize)> = None;
    loop {
        if pattern[p..].starts_with(b"**") {
            p += 2;
            wide = Some((p, t));
            narrow = None;
            continue;
        }
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            narrow = Some((p, t));
            continue;
        }
        if p == pattern.len() && t == text.len() {
            return true;
        }
        if t < text.len() && pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
            continue;
        }
        if let Some((behind, at)) = narrow
            && at < text.len()
            && Some(text[at]) != within
        {
            narrow = Some((behind, at + 1));
            (p, t) = (behind, at + 1);
        } else if let Some((behind, at)) = wide
            && at < text.len()
        {
            wide = Some((behind, at + 1));
            narrow = None;
            (p, t) = (behind, at + 1);
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(pattern: &str, text: &str) -> bool {
        pattern.parse::<PathPattern>().unwrap().matches(text)
    }

    #[test]
    fn a_star_stays_in_its_segment() {
        assert!(path("/v1/send", "/v1/send"));
        assert!(!path("/v1/send", "/v1/send/"));
        assert!(!path("/v1/send", "/v1/sen"));
        assert!(path("/v1/*/send", "/v1/7/send"));
        assert!(path("/v1/*/send", "/v1//send"));
        assert!(!path("/v1/*/send", "/v1/7/8/send"));
        assert!(path("/v1/*", "/v1/7"));
        assert!(!path("/v1/*", "/v1/7/8"));
        assert!(path("/bot*/send*", "/bot12:x/sendMessage"));
        assert!(path("/*/*", "/a/b"));
        assert!(!path("/*/*", "/a/b/c"));
    }

    #[test]
    fn two_stars_cross_segments() {
        assert!(path("/v1/**", "/v1/"));
        assert!(path("/v1/**", "/v1/a/b"));
        assert!(!path("/v1/**", "/v1"));
        assert!(path("**/send", "/a/b/send"));
        assert!(!path("**/send", "/a/send/b"));
        assert!(path("/a/**/z*", "/a/b/c/zed"));
        assert!(path("/**/a/*/b", "/x/a/b/a/y/b"));
        assert!(!path("/**/a/*/b", "/x/a/b/a/y/z/b"));
        assert!(path("/***", "/a/b"));
    }

    #[test]
    fn a_name_has_no_segments() {
        let name = |pattern: &str, text| pattern.parse::<NamePattern>().unwrap().matches(text);
        assert!(name("send_*", "send_mail"));
        assert!(name("*", "a/b"));
        assert!(!name("send_*", "resend_mail"));
        assert!("".parse::<NamePattern>().is_err());
    }

    #[test]
    fn a_refused_path_gets_an_example_of_a_right_one() {
        for bad in ["", "v1", "*", "/a?b=1", "/a b", "/ä"] {
            assert!(bad.parse::<PathPattern>().unwrap_err().contains("write a path"), "{bad}");
        }
    }

    /// What the stars mean, without regard to time.
    fn plainly(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', b'*', rest @ ..] => (0..=text.len()).any(|at| plainly(rest, &text[at..])),
            [b'*', rest @ ..] => (0..=text.len())
                .take_while(|at| *at == 0 || text[at - 1] != b'/')
                .any(|at| plainly(rest, &text[at..])),
            [byte, rest @ ..] => text.first() == Some(byte) && plainly(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_plain_meaning(pattern in "/[ab/*]{0,8}", text in "/[ab/]{0,10}") {
            prop_assert_eq!(path(&pattern, &text), plainly(pattern.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn many_stars_cost_no_exponential_time() {
        let pattern = format!("/{}z", "**a*".repeat(2_000));
        assert!(!path(&pattern, &format!("/{}", "a".repeat(4_000))));
    }
}
