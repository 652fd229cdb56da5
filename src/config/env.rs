//! Names in the environment of what is no setting of the file.

/// Levels of the log, in the syntax of `RUST_LOG`, which is read where this is absent.
pub(crate) const LOG: &str = "STATE_ENGINE_LOG";
/// Set by `run` for the program that it runs.
pub(crate) const URL: &str = "STATE_ENGINE_URL";
/// As [`URL`].
pub(crate) const SESSION: &str = "STATE_ENGINE_SESSION";
/// As [`URL`].
pub(crate) const RUN: &str = "STATE_ENGINE_RUN";
