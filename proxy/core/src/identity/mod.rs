//! Whose call a request is, and which execution it means.

mod auth_params;
mod authorization;
pub mod body_digests;
mod compared;
pub mod credentials;
mod jwt;
pub mod key;
pub mod metadata;
pub mod principal;
pub mod upstream_key;
