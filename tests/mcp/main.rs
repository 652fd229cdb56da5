//! MCP tool calls through the real binary: servers in raw sockets, on stdio and behind TLS, and real
//! peers.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod http;
mod peers;
mod stdio;
mod tls;
