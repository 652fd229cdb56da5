//! Words that name secrets.

pub(super) use super::mask::MASK;
use crate::http::meaning::is_secret_name;

/// Whether any word of the text names a secret, whose value then cannot be separated from the rest.
pub(super) fn mentions_secret(text: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).any(is_secret_name)
}
