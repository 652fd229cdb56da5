//! Decides what happens to executions that an earlier process left running.

use std::time::Duration;

use serde::Serialize;
use store_core::model::{EventKind, Origin};
use store_core::{Error, LEASE_DEFAULT};

use crate::decide::brief::Brief;
use crate::decide::event::NewEvent;
use crate::decide::plan::{Effect, Plan};
use crate::decide::settle;

/// A running execution at the start of the engine.
#[derive(Debug)]
pub(crate) struct LeftRunning {
    pub(crate) row: i64,
    pub(crate) origin: Origin,
    pub(crate) attempt: u32,
    pub(crate) lease_ms: Option<i64>,
}

/// The cases at the start.
#[derive(Debug)]
pub(crate) enum AtStart {
    /// Its lease gets its full time to live again: the holder is another process.
    Leased(Effect),
    /// Nobody will report its outcome. [`lose`] needs the execution.
    Lost,
}

impl LeftRunning {
    pub(crate) fn at_start(&self) -> AtStart {
        match self.origin {
            Origin::Api => {
                let ttl = self.lease_ms.and_then(|ms| u64::try_from(ms).ok());
                let ttl = ttl.map_or(LEASE_DEFAULT, Duration::from_millis);
                AtStart::Leased(Effect::Leased { attempt: self.attempt, ttl })
            }
            Origin::Proxy => AtStart::Lost,
        }
    }
}

/// Ends a proxied call whose process is gone.
pub(crate) fn lose(execution: &Brief) -> Result<Plan<'static>, Error> {
    settle::lose(execution, "the engine stopped while the call ran")
}

#[derive(Serialize)]
struct Boot<'a> {
    version: &'static str,
    lost: usize,
    /// An event that was on disk, and that the database does not have: someone accepted that.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Missing<'a>>,
}

#[derive(Serialize)]
struct Missing<'a> {
    seq: i64,
    hash: &'a str,
}

/// The first event of a process.
pub(crate) fn boot(running: &[LeftRunning], missing: Option<(i64, &str)>) -> NewEvent {
    let lost = running.iter().filter(|left| left.origin == Origin::Proxy).count();
    let missing = missing.map(|(seq, hash)| Missing { seq, hash });
    NewEvent::engine(EventKind::Boot, &Boot { version: env!("CARGO_PKG_VERSION"), lost, missing })
}
