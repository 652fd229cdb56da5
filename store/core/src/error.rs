use std::path::PathBuf;

use uuid::Uuid;

/// Why the store refused, or could not.
///
/// Messages are for callers: they hold no SQL, no path of the database and no secret.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nothing has this id or name.
    #[error("there is no {what} {id}")]
    NotFound {
        /// `user`, `session`, …
        what: &'static str,
        /// The id or name that was looked up.
        id: String,
    },
    /// It conflicts with what is stored.
    #[error("{0}")]
    Conflict(String),
    /// The key belongs to an execution with a different input.
    #[error("the key was used before with a different input, by execution {execution}")]
    KeyReuse {
        /// Who holds the key.
        execution: Uuid,
    },
    /// A finish or verdict for an attempt that is no longer current, or with a different outcome.
    #[error("{0}")]
    Stale(String),
    /// The state does not allow this event.
    #[error("{0}")]
    IllegalTransition(#[from] crate::state::Illegal),
    /// The lease is lost, or the execution was leased and only the lease methods change it.
    #[error("{0}")]
    LeaseLost(String),
    /// An invalid parameter.
    #[error("{field}: {message}")]
    Invalid {
        /// The name of the parameter.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The session has ended and accepts no calls.
    #[error("session {0} has ended; start another, or set its status to active")]
    SessionEnded(Uuid),
    /// The session or goal belongs to another user or session.
    #[error("{0}")]
    Foreign(String),
    /// The disk, or the page limit, is full. Nothing was changed.
    #[error("the store is full: free some disk space; nothing was changed")]
    Full,
    /// The files were deleted, replaced or truncated under the engine. Nothing was changed.
    #[error(
        "the files of the store were deleted, replaced or truncated: the engine stops, and nothing was changed"
    )]
    Lost,
    /// Another program pins the write-ahead log. Nothing was changed.
    #[error(
        "the write-ahead log is too large: another program's open read transaction keeps it from shrinking; \
         stop that program; nothing was changed"
    )]
    LogFull,
    /// The outcome is in memory: there is no disk space, or another program is using the database.
    #[error(
        "the outcome is not recorded yet, for lack of disk space or because another program is using the \
         database: it will be as soon as possible, unless the engine is killed before"
    )]
    NotYet,
    /// The writer's queue is full. Nothing was changed; try again.
    #[error("the store's queue is full: nothing was changed, try again")]
    Busy,
    /// The writer has stopped: the process is ending.
    #[error("the store is closed: the engine is stopping")]
    Closed,
    /// Another process owns the database.
    #[error("the database is in use by {holder}; stop it, or name another file with --database")]
    Locked {
        /// The contents of its lock file.
        holder: LockHolder,
    },
    /// The database cannot be opened or read.
    #[error("{path}: {message}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do about it.
        message: String,
    },
    /// A bug, or data that this version did not write. The log has the details.
    #[error("internal error in the store; the log has the details")]
    Internal,
}

/// The process that owns a database, read from its lock file.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LockHolder {
    /// Process id.
    pub pid: u32,
    /// Where its API listens, as `http://127.0.0.1:3030`; empty until it has bound its port.
    pub api: String,
    /// The version that runs.
    pub version: String,
}

impl std::fmt::Display for LockHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self { pid: 0, .. } => f.write_str("another process"),
            Self { pid, version, .. } if version.is_empty() => write!(f, "process {pid}"),
            Self { pid, version, api } if api.is_empty() => {
                write!(f, "process {pid} (version {version}, API not open yet)")
            }
            Self { pid, api, version } => write!(f, "process {pid} (version {version}, API {api})"),
        }
    }
}
