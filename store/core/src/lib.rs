//! What a call, a key and a state are: pure data and rules, without I/O, threads or a database.
//!
//! The crate `store` makes them durable and re-exports them.

pub mod call;
pub mod canonical;
pub mod decision;
mod error;
pub mod key;
pub mod model;
pub mod state;

use std::time::Duration;

pub use error::{Error, LockHolder};

/// The largest response body that is kept, in bytes.
pub const MAX_KEPT_BODY: usize = 8 * 1024 * 1024;

/// The longest name or key, in characters.
pub const MAX_NAME: usize = 255;

/// The default time to live of an API lease.
pub const LEASE_DEFAULT: Duration = Duration::from_secs(60);
/// The shortest lease.
pub const LEASE_MIN: Duration = Duration::from_secs(1);
/// The longest lease.
pub const LEASE_MAX: Duration = Duration::from_secs(3_600);

/// The user of calls that name none.
pub const DEFAULT_USER: &str = "local";
/// The session of calls that name none.
pub const DEFAULT_SESSION: &str = "default";
/// The goal of a session's proxied calls that name none.
pub const PROXY_GOAL: &str = "HTTP tool calls";
