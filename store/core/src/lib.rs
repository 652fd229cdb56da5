//! What a call, a key and a state are: pure data and rules, without I/O, threads or a database.
//!
//! The crate `store` makes them durable and re-exports them.

pub mod call;
pub mod canonical;
mod error;
pub mod key;
pub mod model;
pub mod state;

use std::time::Duration;

pub use error::{Error, LockHolder};

/// The maximum size of a response body that is stored, in bytes.
pub const MAX_KEPT_BODY: usize = 8 * 1024 * 1024;

/// The maximum length of a name or key, in characters.
pub const MAX_NAME: usize = 255;

/// The default time to live of an API lease.
pub const LEASE_DEFAULT: Duration = Duration::from_secs(60);
/// The minimum time to live of an API lease.
pub const LEASE_MIN: Duration = Duration::from_secs(1);
/// The maximum time to live of an API lease.
pub const LEASE_MAX: Duration = Duration::from_secs(3_600);

/// The user of calls that name no user.
pub const DEFAULT_USER: &str = "local";
/// The session of calls that name no session.
pub const DEFAULT_SESSION: &str = "default";
/// The goal of a session's proxied calls that name no goal.
pub const PROXY_GOAL: &str = "HTTP tool calls";
