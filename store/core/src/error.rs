use std::path::PathBuf;

use uuid::Uuid;

/// Why the store refused, or could not.
///
/// Messages are for callers: they hold no SQL, no path of the database and no secret.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such thing.
    #[error("there is no {what} {id}")]
    NotFound {
        /// `user`, `session`, …
        what: &'static str,
        /// As it was asked for.
        id: String,
    },
    /// It clashes with what is there.
    #[error("{0}")]
    Conflict(String),
    /// The key belongs to an execution with another input.
    #[error("the key was used before with another input, by execution {execution}")]
    KeyReuse {
        /// Who holds the key.
        execution: Uuid,
    },
    /// A finish or verdict for an attempt that is not the current one, or with another outcome.
    #[error("{0}")]
    Stale(String),
    /// The state has no such step.
    #[error("{0}")]
    IllegalTransition(#[from] crate::state::Illegal),
    /// The lease is gone, or the execution was leased and only lease methods change it.
    #[error("{0}")]
    LeaseLost(String),
    /// A value that cannot be taken; `field` is the parameter's name.
    #[error("{field}: {message}")]
    Invalid {
        /// The parameter.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The session takes no more calls.
    #[error("session {0} has ended; start another, or set its status to active")]
    SessionEnded(Uuid),
    /// The session or goal belongs to another user or session.
    #[error("{0}")]
    Foreign(String),
    /// The disk, or the page limit, is full. Nothing was changed.
    #[error("the store is full: free some disk space; nothing was changed")]
    Full,
    /// The writer's queue is full. Nothing was changed; try again.
    #[error("the store's queue is full: nothing was changed, try again")]
    Busy,
    /// The writer is gone: the process is ending.
    #[error("the store is closed: the engine is stopping")]
    Closed,
    /// Another process owns the database.
    #[error("the database is in use by {holder}; stop it, or name another file by --database")]
    Locked {
        /// What the lock file tells of it.
        holder: LockHolder,
    },
    /// The database cannot be opened or read.
    #[error("{path}: {message}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What is wrong, and a remedy where there is one.
        message: String,
    },
    /// A bug, or a database that is not what this version wrote. The log has the details.
    #[error("internal error in the store; the log has the details")]
    Internal,
}

/// Who owns a database, read from the text of its lock file.
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
        write!(f, "process {} (version {}, API {})", self.pid, self.version, self.api)
    }
}
