//! Texts that are searched for secrets.

/// A text, and how much of it is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) text: &'a str,
    /// It is only the beginning of a longer one: what reaches its end may be a part of a secret.
    pub(super) cut: bool,
    /// How many URLs it is in.
    pub(super) depth: u8,
}

impl<'a> Text<'a> {
    /// All of a text.
    pub(super) fn whole(text: &'a str) -> Self {
        Self { text, cut: false, depth: 0 }
    }

    /// A part of it.
    pub(super) fn part<'b>(self, text: &'b str) -> Text<'b> {
        Text { text, cut: self.cut && self.text.ends_with(text), depth: self.depth }
    }
}
