//! Words that name secrets.

use crate::http::meaning::is_secret_name;

/// What stands in the place of a secret.
pub(super) const MASK: &str = "[masked]";

/// Does any word of the text name a secret: then what it names cannot be told from the rest.
pub(super) fn mentions_secret(text: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).any(is_secret_name)
}
