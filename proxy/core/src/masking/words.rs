//! Words that name secrets.

use crate::http::meaning::is_secret_name;

/// What replaces a secret.
pub(crate) const MASK: &str = "[masked]";

/// Whether any word of the text names a secret, whose value then cannot be separated from the rest.
pub(super) fn mentions_secret(text: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).any(is_secret_name)
}
