//! The parameters of credentials: RFC 9110, 11.4, and what vendors write instead of it.

use crate::http::signatures::{decoded, is_signature};
use crate::http::tries::describes_a_try;
use crate::http::words::words;

/// Parts of credentials, by name.
pub(super) type Parts = Vec<(String, String)>;

/// Parameters in their order. No two have the same name.
pub(super) struct Parameters<'a>(Vec<(&'a str, &'a str)>);

/// Reads `name=value, name="value"`. Some vendors write `;` or `&` for the comma. `None`: readers
/// may differ about it, since a name is there twice, or two parameters are separated by more than
/// one comma.
pub(super) fn read(text: &str) -> Option<Parameters<'_>> {
    [',', ';', '&'].into_iter().find_map(|separator| separated(text.trim(), separator))
}

fn separated(text: &str, separator: char) -> Option<Parameters<'_>> {
    let mut parameters: Vec<(&str, &str)> = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (name, after) = (name.trim_end(), after.trim_start());
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_at_checked(end_of_quoted(quoted)?)?,
            None => after.split_at(after.find(separator).unwrap_or(after.len())),
        };
        let is_quoted = after.starts_with('"');
        let after = after.strip_prefix('"').unwrap_or(after).trim_start();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-*.".contains(&byte);
        if name.is_empty()
            || !name.bytes().all(is_name)
            || !is_quoted && has_parameters(value)
            || parameters.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
        {
            return None;
        }
        parameters.push((name, value.trim()));
        match after {
            "" => return Some(Parameters(parameters)),
            more => rest = more.strip_prefix(separator)?.trim_start(),
        }
        if rest.is_empty() && separator == ';' {
            return Some(Parameters(parameters));
        }
    }
}

/// Whether a value has further parameters in it, behind another separator.
fn has_parameters(value: &str) -> bool {
    value.split([',', ';', '&']).skip(1).any(|piece| piece.trim_end_matches('=').contains('='))
}

/// Where the quote ends that began before `text`. A backslash escapes the next character.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

impl Parameters<'_> {
    /// The value of a parameter, as it is written.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value)
    }

    /// Whether one of them is a signature, or the response to a nonce.
    pub(super) fn has_signature(&self) -> bool {
        self.0.iter().any(|(name, value)| is_proof(name) && !value.is_empty())
    }

    /// Those that name the signer, sorted. Of a scope, only what comes before its date.
    pub(super) fn identities(&self) -> Parts {
        let named = self.0.iter().filter(|(name, value)| is_identity(name) && !value.is_empty());
        let mut parts: Parts = named
            .map(|(name, value)| {
                let value = before_date(value).map_or(*value, |(id, _)| id);
                (name.to_ascii_lowercase(), value.to_owned())
            })
            .collect();
        parts.sort_unstable();
        parts
    }

    /// All others, sorted.
    pub(super) fn all_but(&self, leaves_out: impl Fn(&str) -> bool) -> Parts {
        let kept = self.0.iter().filter(|(name, _)| !leaves_out(name));
        let mut parts: Parts =
            kept.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        parts.sort_unstable();
        parts
    }
}

fn is_proof(name: &str) -> bool {
    is_signature(name)
        || matches!(name.to_ascii_lowercase().as_str(), "response" | "proof" | "passworddigest")
}

/// Whether a client draws a parameter for each try.
pub(super) fn is_drawn(name: &str) -> bool {
    const WORDS: &[&str] = &[
        "timestamp",
        "ts",
        "time",
        "date",
        "created",
        "expires",
        "expiry",
        "exp",
        "iat",
        "se",
        "st",
        "nc",
        "nonce",
        "cnonce",
        "hash",
        "bodyhash",
        "opaque",
    ];
    is_proof(name) || words(name).iter().any(|word| WORDS.contains(&word.as_str()))
}

/// Whether a parameter says who signs.
fn is_identity(name: &str) -> bool {
    const LAST: &[&str] = &[
        "access",
        "accesskey",
        "account",
        "ak",
        "apikey",
        "app",
        "appkey",
        "client",
        "consumer",
        "consumerkey",
        "credential",
        "issuer",
        "keyname",
        "kid",
        "login",
        "principal",
        "publickey",
        "skn",
        "user",
        "username",
    ];
    const PAIRS: &[[&str; 2]] = &[
        ["access", "key"],
        ["api", "key"],
        ["app", "key"],
        ["consumer", "key"],
        ["key", "name"],
        ["public", "key"],
        ["user", "name"],
    ];
    let words = words(name);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_named = words.last().is_some_and(|last| LAST.contains(last) || last.ends_with("id"))
        || PAIRS.iter().any(|pair| words.ends_with(pair));
    is_named && !describes_a_try(name)
}

/// The parts of a text with slashes before and behind its first segment that is a date:
/// `KEY/20260131/eu-west-1/…`.
pub(super) fn before_date(text: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    for segment in text.split('/') {
        if at > 0 && is_date(segment) {
            let id = &text[..at - 1];
            return (!id.is_empty()).then_some((id, &text[at..]));
        }
        at += segment.len() + 1;
    }
    None
}

/// `20260131`, `2026-01-31`, `2026-01-31T10:00:00Z`, `20260131T100000Z`.
fn is_date(segment: &str) -> bool {
    let day = segment.split('T').next().unwrap_or_default();
    let digits = day.bytes().filter(u8::is_ascii_digit).count();
    let dashes = day.bytes().filter(|byte| *byte == b'-').count();
    digits == 8 && digits + dashes == day.len() && matches!(dashes, 0 | 2)
}

/// The key ids in a field of structured items (RFC 9421, 2.3), in their order.
pub(super) fn key_ids(text: &str) -> Parts {
    let mut quoted = false;
    let pieces = text.split(|c: char| {
        quoted ^= c == '"';
        !quoted && matches!(c, ';' | ',')
    });
    pieces
        .filter_map(|piece| {
            let (name, value) = piece.trim().split_once('=')?;
            let name = name.trim().to_ascii_lowercase();
            (name == "keyid").then(|| (name, value.trim().trim_matches('"').to_owned()))
        })
        .collect()
}

/// The id in the value of a query parameter such as `X-Amz-Credential`.
pub(super) fn credential_id(value: &str) -> String {
    let (value, _) = decoded(value);
    before_date(&value).map_or(value.clone(), |(id, _)| id.to_owned())
}
