//! What lasts of a JSON Web Token (RFC 7519) that a client has issued for one try, or for an hour.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::value::RawValue;
use store_core::canonical;

use super::auth_params::Parts;
use crate::http::words::words;

/// Claims that make a token one of many: RFC 7519, 4.1.
const OF_ONE_TOKEN: &[&str] = &["exp", "iat", "jti", "nbf"];

/// Claims that say whose token it is, for whom, and what it allows: RFC 7519, 4.1; RFC 8693, 4;
/// <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>
const LASTING: &[&str] = &[
    "act",
    "appid",
    "aud",
    "azp",
    "cid",
    "client_id",
    "iss",
    "oid",
    "scope",
    "scopes",
    "scp",
    "sub",
    "tid",
    "uid",
];

/// Words of other claims that say so.
const SUBJECTS: &[&str] = &[
    "account",
    "client",
    "customer",
    "email",
    "groups",
    "merchant",
    "org",
    "organization",
    "payer",
    "project",
    "role",
    "roles",
    "team",
    "tenant",
    "user",
    "username",
    "workspace",
];

/// A token that was read. Its signature was not verified.
pub(super) enum Token {
    /// It has neither a time nor an id, so that all of it lasts.
    Lasting,
    /// One of many. These claims are the same in all tokens of its owner; there may be none.
    OneOfMany(Parts),
}

impl Token {
    /// What lasts of one of many. `None`: all of it lasts, or nothing does.
    pub(super) fn into_lasting(self) -> Option<Parts> {
        match self {
            Self::OneOfMany(claims) if !claims.is_empty() => Some(claims),
            _ => None,
        }
    }
}

/// Reads a token in its compact form (RFC 7515, 3.1). `None`: it is none.
pub(super) fn read(token: &str) -> Option<Token> {
    let mut parts = token.split('.');
    let (header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (header, payload) = (text_of(header)?, text_of(payload)?);
    let (header, claims) = (members(&header)?, members(&payload)?);
    if !OF_ONE_TOKEN.iter().any(|name| claims.contains_key(*name)) {
        return Some(Token::Lasting);
    }
    let named = |name: &str, value: &RawValue| (format!("jwt {name}"), value.get().to_owned());
    let mut kept: Parts = claims
        .iter()
        .filter(|(name, _)| lasts(name))
        .map(|(name, value)| named(name, value))
        .collect();
    if kept.is_empty() {
        kept.extend(header.get("kid").map(|id| named("kid", id)));
    }
    Some(Token::OneOfMany(kept))
}

fn lasts(claim: &str) -> bool {
    // A claim's name may be a URL, whose last part says what it is.
    let last = claim.rsplit('/').next().unwrap_or_default();
    LASTING.contains(&last) || words(last).iter().any(|word| SUBJECTS.contains(&word.as_str()))
}

/// The canonical text of one part.
fn text_of(part: &str) -> Option<String> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
    String::from_utf8(canonical::json(&json)?).ok()
}

fn members(json: &str) -> Option<BTreeMap<Cow<'_, str>, &RawValue>> {
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, payload: &str) -> String {
        let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(header), part(payload), part("signature"))
    }

    fn lasting_text(payload: &str) -> Option<String> {
        let token = token(r#"{"alg":"RS256","kid":"k1"}"#, payload);
        let parts = read(&token)?.into_lasting()?;
        let parts: Vec<_> = parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Some(parts.join(" "))
    }

    #[test]
    fn who_it_is_lasts_and_when_it_was_issued_does_not() {
        for (payload, want) in [
            (r#"{"sub":"ada","iat":1,"exp":2,"jti":"x"}"#, r#"jwt sub="ada""#),
            (r#"{"iss":"app","iat":1,"qsh":"q"}"#, r#"jwt iss="app""#),
            (
                r#"{"exp":1,"aud":["b","a"],"org_id":7,"tenantId":"t","uti":"r"}"#,
                r#"jwt aud=["b","a"] jwt org_id=7 jwt tenantId="t""#,
            ),
            (
                r#"{"exp":1,"https://x.example/user_id":"u"}"#,
                r#"jwt https://x.example/user_id="u""#,
            ),
            (r#"{"exp":1,"iat":2}"#, r#"jwt kid="k1""#),
        ] {
            assert_eq!(lasting_text(payload).as_deref(), Some(want), "{payload}");
        }
        assert_eq!(lasting_text(r#"{"sub":"ada"}"#), None, "it has no time");
        for whole in ["a.b.c", "opaque", "ey.ey", &format!("{}.x", token("{}", r#"{"exp":1}"#))] {
            assert!(read(whole).is_none(), "{whole}");
        }
    }
}
