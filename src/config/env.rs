//! The name of each setting in the environment.

pub(crate) const CONFIG: &str = "STATE_ENGINE_CONFIG";
pub(crate) const DATABASE: &str = "STATE_ENGINE_DATABASE";
pub(crate) const ADDR: &str = "STATE_ENGINE_ADDR";
pub(crate) const PROXY_ADDR: &str = "STATE_ENGINE_PROXY_ADDR";
pub(crate) const NO_PROXY: &str = "STATE_ENGINE_NO_PROXY";
pub(crate) const MAX_REQUEST: &str = "STATE_ENGINE_MAX_REQUEST";
pub(crate) const PASS: &str = "STATE_ENGINE_PASS";
pub(crate) const INTERCEPT: &str = "STATE_ENGINE_INTERCEPT";
pub(crate) const UPSTREAM_CA: &str = "STATE_ENGINE_UPSTREAM_CA";
pub(crate) const UPSTREAM_PROXY: &str = "STATE_ENGINE_UPSTREAM_PROXY";
pub(crate) const UPSTREAM_DIRECT: &str = "STATE_ENGINE_UPSTREAM_DIRECT";
pub(crate) const TOKEN: &str = "STATE_ENGINE_TOKEN";
pub(crate) const REQUIRE_TOKEN: &str = "STATE_ENGINE_REQUIRE_TOKEN";
pub(crate) const ALLOW_HOST: &str = "STATE_ENGINE_ALLOW_HOST";
pub(crate) const ALLOW_ORIGIN: &str = "STATE_ENGINE_ALLOW_ORIGIN";
pub(crate) const DRAIN: &str = "STATE_ENGINE_DRAIN";
pub(crate) const MAX_WAIT: &str = "STATE_ENGINE_MAX_WAIT";
/// Set by `run` for the program that it runs.
pub(crate) const URL: &str = "STATE_ENGINE_URL";
/// As [`URL`].
pub(crate) const SESSION: &str = "STATE_ENGINE_SESSION";
/// As [`URL`].
pub(crate) const RUN: &str = "STATE_ENGINE_RUN";
pub(crate) const LOG_FORMAT: &str = "STATE_ENGINE_LOG_FORMAT";
/// Levels, in the syntax of `RUST_LOG`, which is read where this is absent.
pub(crate) const LOG: &str = "STATE_ENGINE_LOG";
