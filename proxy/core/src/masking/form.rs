//! Forms with their secrets masked.

use super::excerpt::Excerpt;
use super::json;
use super::names::{is_secret_parameter, mentions_secret};
use super::url::{decoded, hides_secret, mask_pairs};

/// A form with the values masked whose names, or whose shapes, say that they are secrets. `None`:
/// the body may be any text that only claims to be a form, since something in it that cannot be a
/// field's name mentions a secret.
pub(super) fn masked_pairs(form: &str) -> Option<String> {
    let odd =
        |name: &str| !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.~*%+[]".contains(&b));
    let hides = form
        .split('&')
        .any(|pair| odd(pair.split('=').next().unwrap_or_default()) && mentions_secret(pair));
    (!hides).then(|| {
        let masked = mask_pairs(form, |name, value| {
            is_secret_parameter(name) && !name.eq_ignore_ascii_case("key")
                || hides_secret(Excerpt::whole(value))
                || json::hides_secret(&decoded(value))
        });
        // Names, and what has no name.
        Excerpt::whole(&masked).masked().into_owned()
    })
}
