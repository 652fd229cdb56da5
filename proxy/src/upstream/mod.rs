//! The side of the tools: where they may be reached, connections to them, requests over these.

pub(crate) mod address_guard;
mod adopt;
pub(crate) mod connection;
pub(crate) mod dial;
pub(crate) mod egress_proxy;
mod http1_io;
mod http2;
pub(crate) mod keeping;
mod metadata_services;
pub(crate) mod pool;
pub(crate) mod private;
pub(crate) mod response_body;
pub(crate) mod send;
pub(crate) mod tls;
mod wire;
