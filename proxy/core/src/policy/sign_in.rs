//! Sign-ins, by the path and the shape of the request. Their answers are never replayed: a stored
//! token is an old token, and its cookie is not kept.

use http::header::HeaderMap;

use super::members::names;
use crate::http::forms::kind::{BodyKind, body_kind};
use crate::http::target::Target;
use crate::words::words;

/// What the last segment of a path that signs in begins with, without its separators.
const BEGINS: &[&str] = &["login", "logon", "signin", "authenticate", "authentication"];
/// What it may be.
const IS: &[&str] = &["auth", "token", "tokens", "session", "sessions"];
/// What it may end with: `accesstoken`, `refresh_token`.
const ENDS: &str = "token";
/// Segments below which everything signs in: `/auth/local`, `/oauth2/v1/renew`.
const BELOW: &[&str] = &["auth", "authn", "sso"];

/// Words of a path of which one creates, changes or ends something, also below `/auth`.
const ACTS: &[&str] = &[
    "register",
    "registration",
    "registrations",
    "signup",
    "reset",
    "forgot",
    "recover",
    "recovery",
    "invite",
    "invites",
    "invitation",
    "invitations",
    "change",
    "delete",
    "create",
    "logout",
    "signout",
    "revoke",
    "pay",
    "payment",
    "payments",
    "transfer",
    "transfers",
    "checkout",
    "order",
    "orders",
    "charge",
    "charges",
];
/// What a path ends with that creates one of many.
const CREATES: &[&str] =
    &["user", "users", "account", "accounts", "member", "members", "password", "passwords"];

/// Words of which one names a credential that a person or a client signs in with.
const CREDENTIALS: &[&str] =
    &["password", "passwd", "pwd", "passphrase", "passcode", "otp", "totp"];
/// The same as whole names, without separators.
const CREDENTIAL_NAMES: &[&str] =
    &["refreshtoken", "clientsecret", "granttype", "clientassertion", "mfacode", "idtoken"];
/// With one of these a `code` is that of a grant (RFC 6749, 4.1.3; RFC 7636, 4.5).
const BESIDE_CODE: &[&str] = &["granttype", "codeverifier", "clientid", "redirecturi"];

/// Words of names that no sign-in has: those of a payment, an order, a message, a new person or a
/// new password.
const FOREIGN: &[&str] = &[
    "amount",
    "price",
    "currency",
    "quantity",
    "items",
    "total",
    "payment",
    "payments",
    "card",
    "iban",
    "order",
    "orders",
    "cart",
    "invoice",
    "recipient",
    "recipients",
    "message",
    "subject",
    "role",
    "roles",
    "new",
    "confirm",
    "confirmation",
    "confirmed",
    "repeat",
    "again",
    "old",
    "birthdate",
    "birthday",
    "firstname",
    "lastname",
    "fullname",
];
const FOREIGN_NAMES: &[&str] = &["firstname", "lastname", "fullname", "displayname", "dateofbirth"];

/// Whether the head may be that of a sign-in. The body decides.
pub(super) fn may_sign_in(target: &Target, headers: &HeaderMap) -> bool {
    matches!(body_kind(headers), BodyKind::Json | BodyKind::Form) && is_path(target.path())
}

fn is_path(path: &str) -> bool {
    let segments: Vec<Vec<String>> = path
        .split('/')
        .map(|segment| segment.rsplit(':').next().unwrap_or_default())
        .map(|segment| words(segment.split('.').next().unwrap_or_default()))
        .filter(|words| !words.is_empty())
        .collect();
    let Some((last, above)) = segments.split_last() else { return false };
    let last = last.concat();
    let has = |list: &[&str], word: &str| list.contains(&word);
    let acts = segments
        .iter()
        .any(|segment| segment.iter().any(|word| has(ACTS, word)) || has(ACTS, &segment.concat()));
    let below = above.iter().map(|segment| segment.concat());
    let signs_in = BEGINS.iter().any(|begin| last.starts_with(begin))
        || has(IS, &last)
        || last.ends_with(ENDS)
        || below.into_iter().any(|segment| has(BELOW, &segment) || segment.starts_with("oauth"));
    signs_in && !acts && !has(CREATES, &last)
}

/// Whether a body without coding is that of a sign-in.
pub(super) fn signs_in(headers: &HeaderMap, body: &[u8]) -> bool {
    let Some(names) = names(headers, body) else { return false };
    let names: Vec<Vec<String>> = names.iter().map(|name| words(name)).collect();
    let whole: Vec<String> = names.iter().map(|words| words.concat()).collect();
    let any = |word: &dyn Fn(&str) -> bool| names.iter().flatten().any(|one| word(one));
    let has_one = |list: &[&str]| whole.iter().any(|name| list.contains(&name.as_str()));
    let foreign = any(&|word| FOREIGN.contains(&word)) || has_one(FOREIGN_NAMES);
    let code = whole.iter().any(|name| name == "code") && has_one(BESIDE_CODE);
    let credential = any(&|word| CREDENTIALS.contains(&word)) || has_one(CREDENTIAL_NAMES) || code;
    credential && !foreign
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_TYPE, HeaderValue};

    use super::*;

    #[test]
    fn paths_that_sign_in() {
        for path in [
            "/login",
            "/api/v1/login",
            "/login.php",
            "/signin",
            "/users/sign_in",
            "/auth/local",
            "/auth/v1/otp",
            "/oauth/token",
            "/oauth2/v2/renew",
            "/connect/token",
            "/api/token",
            "/api/token/refresh_token",
            "/session",
            "/api/sessions/",
            "/v1/accounts:signInWithPassword",
            "/rest-auth/login/",
        ] {
            assert!(is_path(path), "{path}");
        }
        for path in [
            "/",
            "/users",
            "/register",
            "/signup",
            "/auth/register",
            "/auth/sign-up",
            "/auth/users",
            "/auth/password/reset",
            "/auth/logout",
            "/checkout/sessions",
            "/pay",
            "/auth/payments",
            "/tokens/7/revoke",
            "/mail/send",
            "/v1/accounts:signUp",
        ] {
            assert!(!is_path(path), "{path}");
        }
    }

    #[test]
    fn bodies_that_sign_in() {
        let body = |kind: &'static str, body: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            signs_in(&headers, body.as_bytes())
        };
        let json = |text: &str| body("application/json", text);
        let form = |text: &str| body("application/x-www-form-urlencoded", text);
        assert!(json(r#"{"email":"a","password":"b"}"#));
        assert!(json(r#"{"user":{"email":"a","passWord":"b","password":"c"}}"#));
        assert!(json(r#"{"phone":"1","otp_code":"2"}"#));
        assert!(json(r#"{"refreshToken":"a"}"#));
        assert!(json(r#"{"code":"a","redirect_uri":"b"}"#));
        assert!(form("username=a&password=b"));
        assert!(form("user%5Bpasswd%5D=a"));
        assert!(!json(r#"{"code":"a"}"#));
        assert!(!json(r#"{"amount":1,"password":"b"}"#));
        assert!(!json(r#"{"email":"a","password":"b","password_confirmation":"b"}"#));
        assert!(!json(r#"{"email":"a","password":"b","first_name":"b"}"#));
        assert!(!json(r#"{"password":"b","password":"c"}"#));
        assert!(!json("[]"));
        assert!(!form("to=a"));
    }
}
