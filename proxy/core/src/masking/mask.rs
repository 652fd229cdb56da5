//! What is written in place of a secret.

/// What replaces a secret.
pub(crate) const MASK: &str = "[masked]";
