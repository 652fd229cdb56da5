//! Names of secrets: of members, fields, parameters, variables, flags.

use crate::http::field_words::is_proof;
use crate::http::meaning::{is_credential_parameter, is_secret_name, parameter_name};
use crate::words::words;

/// Words that name a secret wherever they stand: `card_cvv`, `X-Otp`, `smtpPwd`.
const ANYWHERE: &[&str] = &[
    "cred", "creds", "csc", "cvc", "cvc2", "cvv", "cvv2", "dpop", "hotp", "jwt", "kennwort",
    "mnemonic", "otp", "passcode", "passwort", "pwd", "ssn", "totp",
];

/// Words that name a secret at the end of a name: `X-Auth`, `db_pass`.
const AT_END: &[&str] = &["auth", "pass", "pin"];

/// Last words that only say what a name before them holds: `otp_code`.
const HOLDERS: &[&str] = &["code", "data", "field", "header", "input", "number", "text", "value"];

/// Last words of names that are about a secret and hold none: `otp_length`.
const ABOUT: &[&str] = &[
    "at",
    "count",
    "enabled",
    "expires",
    "expiry",
    "expiration",
    "hint",
    "length",
    "method",
    "name",
    "policy",
    "provider",
    "required",
    "status",
    "supported",
    "ttl",
    "type",
    "uri",
    "url",
    "verified",
    "version",
];

/// The words before the last one that make a secret of it: `signing_key`, `security code`.
const OWNERS: &[(&[&str], &[&str])] = &[
    (
        &["key", "keys"],
        &[
            "access",
            "account",
            "admin",
            "aes",
            "api",
            "app",
            "application",
            "auth",
            "decryption",
            "deploy",
            "encryption",
            "function",
            "hmac",
            "host",
            "licence",
            "license",
            "live",
            "master",
            "private",
            "recovery",
            "role",
            "rsa",
            "secret",
            "server",
            "service",
            "shared",
            "signing",
            "ssh",
            "stream",
            "subscription",
            "wallet",
            "webhook",
            "write",
        ],
    ),
    (
        &["code", "codes"],
        &[
            "2fa",
            "access",
            "auth",
            "authentication",
            "authorization",
            "backup",
            "device",
            "login",
            "mfa",
            "one",
            "onetime",
            "otp",
            "pass",
            "recovery",
            "reset",
            "security",
            "signin",
            "sms",
            "verification",
            "verify",
        ],
    ),
    (&["phrase", "words"], &["backup", "mnemonic", "pass", "recovery", "secret", "seed"]),
    (
        &["tokens"],
        &["access", "api", "auth", "bearer", "bot", "csrf", "device", "oauth", "push", "refresh"],
    ),
    (&["number", "num", "pan"], &["card", "cc", "security"]),
];

/// Words of keys that are not secret, whatever else they are called.
const PUBLIC: &[&str] =
    &["cache", "foreign", "idempotence", "idempotency", "primary", "public", "publishable"];

/// Whether what a name holds is a secret.
pub(super) fn names_secret(name: &str) -> bool {
    is_secret_name(name) || name.eq_ignore_ascii_case("x-payment") || says_secret(&words(name))
}

fn says_secret(words: &[String]) -> bool {
    let has = |list: &[&str], word: &String| list.contains(&word.as_str());
    let Some((last, before)) = words.split_last() else { return false };
    if has(ABOUT, last) || words.iter().any(|word| has(PUBLIC, word)) {
        return false;
    }
    let named = match before.split_last() {
        Some((named, _)) if has(HOLDERS, last) => named,
        _ => last,
    };
    let is_own_field = words.len() > 2 && words[0] == "x" && last == "key";
    is_own_field
        || words.iter().any(|word| has(ANYWHERE, word))
        || has(AT_END, named)
        || OWNERS
            .iter()
            .any(|(ends, owners)| has(ends, last) && before.iter().any(|word| has(owners, word)))
}

/// Whether any word of a text names a secret, whose value then cannot be separated from the rest.
pub(super) fn mentions_secret(text: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).any(is_secret_name)
}

/// Whether the value of a form's field or a query parameter is masked before it is stored or shown.
/// `raw` is the name as it is written.
pub(super) fn is_secret_parameter(raw: &str) -> bool {
    let name = parameter_name(raw);
    is_credential_parameter(&name)
        || ["sig", "x-amz-signature", "x-goog-signature"].contains(&name.as_str())
        || names_secret(&name)
}

/// The same for a URL, which people see. `code` is OAuth's (RFC 6749, 4.1.2), or the key of an
/// Azure function.
pub(super) fn is_secret_in_url(raw: &str) -> bool {
    let name = parameter_name(raw);
    is_secret_parameter(raw) || name == "code" || is_some_key(&name)
}

/// Whether a field's value is masked before it is stored or shown. `name` is in lower case.
pub(super) fn is_secret_field(name: &str) -> bool {
    names_secret(name) || is_some_key(name) || is_proof(name) || name == "x-honeycomb-team"
}

/// The key of a subscription, an application and so on: there are too many to list.
fn is_some_key(name: &str) -> bool {
    (name.ends_with("-key") || name.ends_with("_key")) && !name.contains("idempotency")
}

/// Whether a text is nothing but a name or a label of a secret: `password`, `#card_cvv`, `/otp`,
/// `Password field`.
pub(super) fn is_name_of_secret(text: &str) -> bool {
    const LONGEST: usize = 64;
    let last = text.trim_ascii().rsplit(['/', '.', '#']).next().unwrap_or_default();
    text.len() <= LONGEST && names_secret(last)
}

/// Whether a member holds the name of something whose value is beside it, as in
/// `{"name": "password", "value": "…"}`.
pub(super) fn holds_a_name(member: &str) -> bool {
    const WORDS: &[&str] = &[
        "attr",
        "attribute",
        "element",
        "field",
        "header",
        "id",
        "k",
        "key",
        "label",
        "locator",
        "n",
        "name",
        "option",
        "param",
        "parameter",
        "path",
        "placeholder",
        "property",
        "ref",
        "selector",
        "setting",
        "target",
        "type",
        "var",
        "variable",
    ];
    words(member).last().is_some_and(|word| WORDS.contains(&word.as_str()))
}

/// Whether a member holds the value of something whose name is beside it.
pub(super) fn holds_a_value(member: &str) -> bool {
    const WORDS: &[&str] =
        &["answer", "content", "data", "default", "input", "text", "v", "val", "value", "values"];
    words(member).iter().any(|word| WORDS.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_by_their_words() {
        for name in [
            "card_cvv",
            "cardCvc",
            "X-Auth",
            "x-otp",
            "otp_code",
            "user_pass",
            "DB_PWD",
            "pin_code",
            "signing_key",
            "encryptionKey",
            "AccountKey",
            "verification code",
            "one-time code",
            "recovery_codes",
            "seed_phrase",
            "access_tokens",
            "card_number",
            "totpSecret",
            "db.creds",
            "jwt_value",
            "mfa_code",
            "SSH_KEY",
            "user_ssn",
            "wallet_mnemonic",
        ] {
            assert!(names_secret(name), "{name}");
        }
        for name in [
            "author",
            "authority",
            "idempotency_key",
            "primary_key",
            "public_key",
            "publishable_key",
            "issue_key",
            "key",
            "keyword",
            "status_code",
            "country_code",
            "promo_code",
            "zip code",
            "max_tokens",
            "input_tokens",
            "otp_length",
            "auth_type",
            "passenger",
            "compass",
            "spinner",
            "monkey",
            "phrase",
            "order_number",
            "phone number",
            "session_id",
            "user_id",
            "code",
            "pinned",
            "bypass",
            "turnkey",
            "keys",
            "encoding",
        ] {
            assert!(!names_secret(name), "{name}");
        }
    }

    #[test]
    fn names_of_parameters_and_fields() {
        for name in
            ["key", "access_token", "sig", "X-Amz-Signature", "x%2Damz-signature", "api%5Fkey"]
        {
            assert!(is_secret_parameter(name), "{name}");
        }
        for name in ["application_key", "code", "key"] {
            assert!(is_secret_in_url(name), "{name}");
        }
        for name in ["q", "monkey", "idempotency_key"] {
            assert!(!is_secret_in_url(name), "{name}");
        }
        for name in ["q", "page", "keyword", "id", "monkey"] {
            assert!(!is_secret_parameter(name), "{name}");
        }
        for name in [
            "dd-application-key",
            "x-parse-master-key",
            "aeg-sas-key",
            "x-honeycomb-team",
            "x-auth",
            "x-otp",
            "dpop",
            "x-payment",
            "x-recaptcha",
        ] {
            assert!(is_secret_field(name), "{name}");
        }
        for name in ["x-tenant", "content-type", "x-monkey", "x-idempotency-key", "x-author"] {
            assert!(!is_secret_field(name), "{name}");
        }
    }
}
