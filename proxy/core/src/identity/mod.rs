//! Whose call a request is, and which execution it means.

mod authorization;
pub mod key;
pub mod metadata;
pub mod principal;
pub mod upstream_key;
