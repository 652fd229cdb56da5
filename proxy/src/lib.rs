//! The transparent proxy: an HTTP forward proxy that makes calls durable and duplicate-free.
//!
//! One request takes six steps, one file each in `steps`: `request` (what is asked), `identify`
//! (which execution it means), `claim` (may it run), `forward` (send it), `record` (consume the
//! lease with the outcome), `respond` (the answer). `steps/mod.rs` calls them in that order; there
//! is no other road to them.

mod body;
mod config;
mod context;
mod error;
mod explain;
mod failpoint;
mod front;
mod lifecycle;
pub mod mcp;
mod proxy;
mod steps;
mod tls;
mod upstream;

pub use proxy_core::http::host_pattern::{HostName, HostPattern};
pub use proxy_core::http::route::Route;
pub use proxy_core::policy::rule::Rule;
pub use proxy_core::settings::Settings;

pub use crate::config::{
    Access, Config, Limits, Observation, Observer, Outcome, OwnAddresses, SpoolConfig, Timeouts,
    TlsConfig,
};
pub use crate::error::SetupError;
pub use crate::explain::{ExplainRequest as Asked, ExplainedCall, Explanation, Part, explain};
pub use crate::front::tls_intercept::ca::Ca;
pub use crate::front::tls_intercept::constraints::CaFacts;
pub use crate::proxy::Proxy;
pub use crate::upstream::egress_proxy::{EgressProxies as Chain, EgressProxy as Hop};
pub use crate::upstream::tls::UpstreamCa;
