//! The principal of an Authorization field that a client creates for each request. With a
//! signature, or the response to a nonce, each try of a client would be the call of another
//! principal.

use super::auth_params::{self, Parameters, Parts};
use super::jwt::{self, Token};
use crate::http::field_words::split;

/// Schemes whose credentials are a secret that lasts. All of it is the principal, a colon in it
/// included. The IANA registry has most of them.
const SECRETS: &[&str] = &[
    "api-key",
    "apikey",
    "basic",
    "bearer",
    "bot",
    "dpop",
    "key",
    "negotiate",
    "ntlm",
    "sso-key",
    "token",
];

/// The lasting parts of an Authorization, whatever its scheme (RFC 9110, 11.4). `None`: all of it
/// lasts, or it cannot be read, so that the whole field is the principal.
pub(super) fn lasting(field: &[u8]) -> Option<Parts> {
    let text = std::str::from_utf8(field).ok()?.trim();
    let (scheme, rest) = text.split_once(' ').unwrap_or(("", text));
    let (scheme, rest) = (scheme.to_ascii_lowercase(), rest.trim());
    jwt::read(rest).and_then(Token::into_lasting).or_else(|| match scheme.as_str() {
        "" => in_segments(rest).or_else(|| of_parameters("", rest)),
        secret if SECRETS.contains(&secret) => None,
        "aws4-hmac-sha256" | "aws4-ecdsa-p256-sha256" => {
            access_key(rest).or_else(|| of_parameters(&scheme, rest))
        }
        "oauth" => oauth(rest),
        "digest" => digest(rest).or_else(|| of_parameters(&scheme, rest)),
        _ => of_parameters(&scheme, rest).or_else(|| before_colon(&scheme, rest)),
    })
}

/// What lasts of a field other than Authorization that authorises one try, such as `X-Escher-Auth`.
/// `None`: the field is not one, or all of it lasts. `name` is in lower case.
pub(super) fn lasting_in(name: &str, value: &[u8]) -> Option<Parts> {
    const WORDS: &[&str] = &["auth", "authentication", "authorization", "wsse"];
    let is_named = name != "authorization" && split(name).any(|word| WORDS.contains(&word));
    if is_named { lasting(value) } else { None }
}

/// Whether a client signs the request with this Authorization.
pub(super) fn signs(field: &[u8]) -> bool {
    lasting(field).is_some_and(|parts| parts.iter().all(|(name, _)| !name.starts_with("jwt")))
}

/// The parts of a signature that say whose it is, in a field other than Authorization.
pub(super) fn signer(field: &[u8]) -> Parts {
    let text = std::str::from_utf8(field).unwrap_or_default();
    let found = auth_params::read(text).map(|parameters| parameters.identities());
    found.filter(|parts| !parts.is_empty()).unwrap_or_else(|| auth_params::key_ids(text))
}

/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>
fn access_key(rest: &str) -> Option<Parts> {
    let parameters = auth_params::read(rest)?;
    let (key, _) = auth_params::before_date(parameters.get("credential")?)?;
    Some(vec![("access key".to_owned(), key.to_owned())])
}

/// RFC 5849, 3.5.1: all but the parts that are random. A callback or a verifier is part of the
/// call's meaning (RFC 5849, 2).
fn oauth(rest: &str) -> Option<Parts> {
    let parameters = auth_params::read(rest)?;
    parameters.get("oauth_consumer_key").filter(|key| !key.is_empty())?;
    let drawn = ["oauth_nonce", "oauth_timestamp", "oauth_signature"];
    Some(parameters.all_but(|name| drawn.contains(&name)))
}

/// RFC 7616, 3.4.
fn digest(rest: &str) -> Option<Parts> {
    let parameters = auth_params::read(rest)?;
    let part = |name: &str| {
        let value = parameters.get(name).filter(|value| !value.is_empty())?;
        Some((name.to_owned(), value.to_owned()))
    };
    Some(vec![part("username")?, part("realm")?])
}

/// Any scheme with a signature among its parameters: what names the signer, or else all that is not
/// drawn for each try.
fn of_parameters(scheme: &str, rest: &str) -> Option<Parts> {
    let parameters = auth_params::read(rest).filter(Parameters::has_signature)?;
    let mut parts = parameters.identities();
    if parts.is_empty() {
        parts = parameters.all_but(auth_params::is_drawn);
    }
    parts.push(("scheme".to_owned(), scheme.to_owned()));
    Some(parts)
}

/// `ID:SIGNATURE`, as in `AWS AKID:…` and `SharedKey ACCOUNT:…`.
fn before_colon(scheme: &str, rest: &str) -> Option<Parts> {
    let (id, signature) = rest.split_once(':')?;
    let is_pair = is_token68(id) && !id.contains('=') && is_token68(&signature.replace(':', ""));
    is_pair
        .then(|| vec![("id".to_owned(), id.to_owned()), ("scheme".to_owned(), scheme.to_owned())])
}

/// RFC 9110, 11.2, and the sign in the names of mail.
fn is_token68(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=@".contains(&byte))
}

/// `NAME/ID/TIME/…/SIGNATURE`, as in `bce-auth-v1/…`: what comes before the time.
/// Source: <https://cloud.baidu.com/doc/Reference/s/Njwvz1wot>
fn in_segments(text: &str) -> Option<Parts> {
    let (id, _) = auth_params::before_date(text)?;
    Some(vec![("id".to_owned(), id.to_owned())])
}

#[cfg(test)]
mod tests;
