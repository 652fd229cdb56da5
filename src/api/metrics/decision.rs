//! The decision about a proxied call.

/// The decision about a proxied call: the words of the header `Idempotency-Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Decision {
    Executed,
    Replayed,
    Coalesced,
    InProgress,
    InDoubt,
    NotExecuted,
    KeyReuse,
    Bypassed,
}

impl Decision {
    pub(super) const ALL: [Self; 8] = [
        Self::Executed,
        Self::Replayed,
        Self::Coalesced,
        Self::InProgress,
        Self::InDoubt,
        Self::NotExecuted,
        Self::KeyReuse,
        Self::Bypassed,
    ];

    /// The value of the label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Executed => "executed",
            Self::Replayed => "replayed",
            Self::Coalesced => "coalesced",
            Self::InProgress => "in-progress",
            Self::InDoubt => "in-doubt",
            Self::NotExecuted => "not-executed",
            Self::KeyReuse => "key-reuse",
            Self::Bypassed => "bypassed",
        }
    }

    /// The decision of a word of `Idempotency-Status`.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.as_str() == word)
    }
}
