//! Texts that are searched for secrets.

/// A text, and how much of it is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Excerpt<'a> {
    pub(super) text: &'a str,
    /// It is only the beginning of a longer one: what reaches its end may be a part of a secret.
    pub(super) cut: bool,
    /// How many URLs it is in.
    pub(super) depth: u8,
}

impl<'a> Excerpt<'a> {
    /// All of a text.
    pub(super) fn whole(text: &'a str) -> Self {
        Self { text, cut: false, depth: 0 }
    }

    /// A part of it.
    pub(super) fn part(self, text: &str) -> Excerpt<'_> {
        Excerpt { text, cut: self.cut && self.text.ends_with(text), depth: self.depth }
    }
}
