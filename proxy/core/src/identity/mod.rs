//! Whose call a request is, and which execution it means.

mod auth_params;
mod authorization;
pub mod body_digests;
mod compared;
pub mod connection_auth;
pub mod credentials;
mod jwt;
pub mod key;
pub mod metadata;
mod ntlm;
pub mod principal;
pub mod upstream_key;
