//! MCP servers on stdio, as the proxy sees them.

pub use crate::http::own_fields::{STDIO_PORT, STDIO_PROOF};

/// The domain of servers on stdio. It is never resolved (RFC 6761, 6.4). The wrapper of such a
/// server names its port of the loopback in a header, so that its calls have the same key whatever
/// the port.
pub const STDIO_DOMAIN: &str = "mcp-stdio.invalid";

/// The session whose token is the proof of a wrapper. No session can have this name.
pub const STDIO_PROVER: &str = "mcp\0stdio";

/// The name of a server on stdio, if the host is one.
pub fn stdio_name(host: &str) -> Option<&str> {
    host.strip_suffix(STDIO_DOMAIN)?.strip_suffix('.').filter(|name| !name.is_empty())
}
