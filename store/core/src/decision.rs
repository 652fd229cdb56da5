//! What was decided about a request, as it is counted and shown.

use std::fmt;

/// The decision about a request to the proxy, or about a duplicate of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Decision {
    /// It only reads and was passed on.
    Passed,
    /// It may change something and was passed on unguarded.
    Bypassed,
    /// A tunnel whose bytes were passed on unread.
    Tunnel,
    /// It runs, and its outcome is not known yet.
    Executing,
    /// It ran.
    Executed,
    /// It did not run.
    NotExecuted,
    /// It was answered from the record of a call that had ended.
    Replayed,
    /// It waited for the running call and got that call's answer.
    Coalesced,
    /// The same call still runs.
    InProgress,
    /// It may have taken effect.
    InDoubt,
    /// Its key belongs to another request.
    KeyReuse,
}

impl Decision {
    /// The word that is counted and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Bypassed => "bypassed",
            Self::Tunnel => "tunnel",
            Self::Executing => "executing",
            Self::Executed => "executed",
            Self::NotExecuted => "not-executed",
            Self::Replayed => "replayed",
            Self::Coalesced => "coalesced",
            Self::InProgress => "in-progress",
            Self::InDoubt => "in-doubt",
            Self::KeyReuse => "key-reuse",
        }
    }

    /// Whether an answer with this decision says that the call took effect.
    pub const fn reports_effect(self) -> bool {
        matches!(self, Self::Executed | Self::Replayed | Self::Coalesced)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
