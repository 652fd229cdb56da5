//! Forms with their secrets masked.

use percent_encoding::percent_decode_str;

use super::json;
use super::url::mask_pairs;
use super::words::mentions_secret;
use crate::http::meaning::is_secret_parameter;

/// A form with the values masked whose names say that they are secrets. `None`: the body may be any
/// text that only claims to be a form, since something in it that cannot be a field's name mentions
/// a secret.
pub(super) fn masked_pairs(form: &str) -> Option<String> {
    let odd =
        |name: &str| !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.~*%+[]".contains(&b));
    let hides = form
        .split('&')
        .any(|pair| odd(pair.split('=').next().unwrap_or_default()) && mentions_secret(pair));
    (!hides).then(|| {
        mask_pairs(form, |name, value| {
            is_secret_parameter(name) && !name.eq_ignore_ascii_case("key") || hides_secret(value)
        })
    })
}

/// Whether a form's value is JSON or a URL with a secret in it, as in `payload={…}`.
fn hides_secret(value: &str) -> bool {
    let spaced = value.replace('+', " ");
    let Ok(text) = percent_decode_str(&spaced).decode_utf8() else { return false };
    json::hides_secret(&text)
}
