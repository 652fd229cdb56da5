//! Why a request gets no answer of its tool, and whether bytes of it left.

use std::time::Duration;

use store_core::call::{Doubt, Problem, ProblemKind, Sent};
use uuid::Uuid;

use crate::difference::list::Differences;

/// A problem that the proxy itself answers with. `proxy` knows the statuses and codes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key, the target or the framing cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// Policy forbids it: a guarded address, the engine's own ports, a denied host.
    #[error("{0}")]
    Refused(String),
    /// A path on the proxy's own port names no route.
    #[error("{0}")]
    UnknownRoute(String),
    /// The user, session or goal that the request names does not exist.
    #[error("{0}")]
    UnknownScope(String),
    /// The session or goal belongs to another user.
    #[error("{0}")]
    ForeignScope(String),
    /// The session takes no more calls.
    #[error("{0}")]
    SessionEnded(String),
    /// The proxy token is missing or wrong.
    #[error("{0}")]
    Credentials(String),
    /// The request's body made no progress for 30 s.
    #[error("the request body stalled for {0} s")]
    BodyStalled(u64),
    /// The request's body is over the limit (in bytes).
    #[error("the request body is over the limit of {0} bytes")]
    TooLarge(u64),
    /// The request names a host that is not the tunnel's, or reached the wrong port.
    #[error("{0}")]
    Misdirected(String),
    /// A coding or an upgrade that is not supported.
    #[error("{0}")]
    Unsupported(String),
    /// This proxy has seen the request before.
    #[error("the request has passed this proxy before")]
    Loop,
    /// The upstream could not be reached, or broke off.
    #[error("{detail}")]
    Upstream {
        /// What happened.
        detail: String,
        /// Whether bytes of the request left.
        sent: Sent,
    },
    /// The upstream did not answer in time.
    #[error("{detail}")]
    UpstreamTimeout {
        /// What happened.
        detail: String,
        /// Whether bytes of the request left.
        sent: Sent,
    },
    /// Another call with the key still runs after the longest wait.
    #[error("the same call has been running for {} s", .running_for.as_secs())]
    InProgress {
        /// The execution.
        execution_id: Uuid,
        /// Since its attempt began.
        running_for: Duration,
    },
    /// The key belongs to another request.
    #[error("the idempotency key was used before with a different request")]
    KeyReuse {
        /// The execution that holds the key.
        execution_id: Uuid,
        /// Where the two requests differ, if that is known.
        differences: Option<Box<Differences>>,
    },
    /// The call may have taken effect already.
    #[error("the call may already have taken effect")]
    InDoubt(Doubt),
    /// The call took effect, and its answer was not kept.
    #[error("the call took effect, and its answer was not kept")]
    NotKept {
        /// The execution.
        execution_id: Uuid,
        /// The status that the tool answered.
        status: u16,
        /// SHA-256 of the answer's body, in hex.
        sha256: String,
        /// The body's length in bytes.
        size: u64,
        /// The tool's Location header.
        location: Option<String>,
    },
    /// Too much is waiting already. Nothing was sent.
    #[error("{0}")]
    QueueFull(String),
    /// The disk is full. Nothing was sent.
    #[error("{0}")]
    StoreFull(String),
    /// The files of the store were deleted, replaced or truncated. Nothing was sent.
    #[error("{0}")]
    StoreLost(String),
    /// A bug, or a store that failed. Nothing was sent.
    #[error("internal error; the log has the details")]
    Internal,
}

impl Error {
    /// Whether bytes of the request left for the upstream.
    pub const fn sent(&self) -> Sent {
        match self {
            Self::Upstream { sent, .. } | Self::UpstreamTimeout { sent, .. } => *sent,
            _ => Sent::Never,
        }
    }

    /// The problem that duplicates of the call get, if no answer of the tool came.
    pub fn problem(&self) -> Option<Problem> {
        let (kind, detail) = match self {
            Self::Upstream { detail, sent } => (ProblemKind::Failed(*sent), detail),
            Self::UpstreamTimeout { detail, sent } => (ProblemKind::TimedOut(*sent), detail),
            // A name is known to lead to a forbidden address only when it is dialled.
            Self::Refused(detail) => (ProblemKind::Refused, detail),
            _ => return None,
        };
        Some(Problem { kind, detail: detail.clone() })
    }
}

impl From<&Problem> for Error {
    fn from(problem: &Problem) -> Self {
        let detail = problem.detail.clone();
        match problem.kind {
            ProblemKind::Failed(sent) => Self::Upstream { detail, sent },
            ProblemKind::TimedOut(sent) => Self::UpstreamTimeout { detail, sent },
            ProblemKind::Refused => Self::Refused(detail),
        }
    }
}

impl From<store_core::Error> for Error {
    /// The store is asked before anything is sent.
    fn from(error: store_core::Error) -> Self {
        match error {
            store_core::Error::NotFound { .. } => Self::UnknownScope(error.to_string()),
            store_core::Error::Foreign(why) => Self::ForeignScope(why),
            store_core::Error::SessionEnded(_) => Self::SessionEnded(error.to_string()),
            store_core::Error::Full => Self::StoreFull("the store is full".to_owned()),
            store_core::Error::Lost => Self::StoreLost(error.to_string()),
            store_core::Error::LogFull => Self::StoreFull(
                "the write-ahead log is too large: another program's open read transaction keeps it from \
                 shrinking"
                    .to_owned(),
            ),
            store_core::Error::Busy => Self::QueueFull("the store's queue is full".to_owned()),
            store_core::Error::Closed => Self::QueueFull("the engine is stopping".to_owned()),
            store_core::Error::KeyReuse { execution } => {
                Self::KeyReuse { execution_id: execution, differences: None }
            }
            store_core::Error::Invalid { .. } => Self::Malformed(error.to_string()),
            other => {
                tracing::error!(error = %other, "the store failed");
                Self::Internal
            }
        }
    }
}
