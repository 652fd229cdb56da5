//! Why a proxy cannot be set up.

/// Why a proxy cannot be set up, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(pub(crate) String);
