//! The proxy through the real binary: what a request, a key and a connection get, byte by byte.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod doubt;
mod duplicates;
mod framing;
mod http2;
mod keys;
mod limits;
mod once;
mod outcomes;
mod passing;
mod repeat;
mod scope;
mod streams;
mod tls;
mod traces;
mod tunnel;
mod upstream_proxy;
