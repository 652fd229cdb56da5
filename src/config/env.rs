//! Environment variables that are not settings of the file.

/// The log filter, in the syntax of `RUST_LOG`, which applies if this is unset.
pub(crate) const LOG: &str = "STATE_ENGINE_LOG";
/// `run` sets it for its program.
pub(crate) const URL: &str = "STATE_ENGINE_URL";
/// As [`URL`].
pub(crate) const SESSION: &str = "STATE_ENGINE_SESSION";
/// As [`URL`].
pub(crate) const RUN: &str = "STATE_ENGINE_RUN";
