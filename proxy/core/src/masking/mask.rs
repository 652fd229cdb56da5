//! What is written in place of a secret.

/// What replaces a secret that its name gives away.
pub(crate) const MASK: &str = "[masked]";

/// What replaces a secret that its shape gives away, such as `[masked:jwt]`. Without a space, so that a
/// URL stays one.
pub(super) fn mask_of(shape: &str) -> String {
    format!("[masked:{shape}]")
}

/// Whether something in a text may be masked.
pub(crate) fn has_mask(text: &str) -> bool {
    text.contains(MASK) || text.contains("[masked:")
}
