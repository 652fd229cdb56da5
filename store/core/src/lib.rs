//! Calls, keys and states: pure data and rules, without I/O, threads or a database.
//!
//! A state changes only by [`state::next`]. A call whose outcome is unknown is in doubt, and stays so until
//! somebody reports or decides what happened:
//!
//! ```
//! use store_core::model::EffectClass;
//! use store_core::state::{Event, Knowledge, State, next};
//!
//! let running = State::Running { attempt: 1, prior: Knowledge::NotExecuted };
//! let in_doubt = next(running, Event::Lost, EffectClass::Once)?;
//! assert!(next(in_doubt, Event::Claim, EffectClass::Once).is_err());
//!
//! let decided = next(in_doubt, Event::Verdict { attempt: 1, executed: false }, EffectClass::Once)?;
//! assert_eq!(next(decided, Event::Claim, EffectClass::Once)?.attempt(), 2);
//! # Ok::<(), store_core::state::Illegal>(())
//! ```
//!
//! The crate `store` makes them durable, and re-exports them.

#![warn(missing_docs)]

pub mod call;
pub mod canonical;
pub mod decision;
mod error;
pub mod key;
pub mod model;
pub mod state;

use std::time::Duration;

pub use error::{Error, LockHolder};

/// The maximum size of a response body that is stored, in bytes.
pub const MAX_KEPT_BODY: usize = 8 * 1024 * 1024;

/// The largest body that the outcome of a call holds in memory, in bytes. A larger one is read from the store
/// in pieces.
pub const MAX_HELD_BODY: usize = 64 * 1024;

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
