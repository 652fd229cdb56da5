//! The harness of all Rust tests: the engine as a process, an upstream that does what a script says and
//! keeps what it received, and a client that shows every byte of an answer.
//!
//! Everything blocks, each with a deadline of [`DEADLINE`]: a test that hangs is a test that fails. What
//! has the proxy in its own process finds upstreams and answers on tokio in [`on_tokio`].
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod client;
pub mod codings;
mod engine;
mod foreign;
mod forward_proxy;
mod gate;
mod history;
pub mod on_tokio;
mod place;
mod random;
mod recorder;
mod shim;
mod tls;
mod upstream;
mod wire;

pub use client::{Client, Request, Response, base64, basic, origin_of, path_of};
pub use engine::{Builder, Engine, RpcError};
pub use foreign::Foreign;
pub use gate::{DEADLINE, Gate, all_at_once, wait_until};
pub use history::{Disk, History, Syncs};
pub use place::{command, files, here, root};
pub use random::Random;
pub use recorder::Recorder;
pub use shim::Shim;
pub use tls::{Ending, Identity, TestCa, Trusting, block_on, text_of};
pub use upstream::{Exchange, Received, Upstream};
pub use wire::{Framing, Head, Wire};

/// Says what of a test cannot be shown on this machine. In CI (`CI=true`) it fails instead: there
/// nothing may pass untested.
#[track_caller]
#[expect(clippy::print_stderr, reason = "the report of a test; .config/nextest.toml shows it")]
pub fn untested(what: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "not tested: {what}");
    eprintln!("NOT TESTED: {what}");
}

/// The binary under test, with its own empty store.
#[macro_export]
macro_rules! engine {
    () => {
        $crate::Builder::new(env!("CARGO_BIN_EXE_openclaw-state-engine"))
    };
}

/// The binary built with the feature `failpoints`, with its own empty store.
#[macro_export]
macro_rules! engine_with_failpoints {
    () => {
        $crate::Builder::new($crate::here("target/failpoints/openclaw-state-engine"))
    };
}
