//! What the proxy knows about MCP servers, and about calls that wait for their responses.

use std::sync::Arc;

use proxy_core::mcp::tool_hints::Hints;

use super::sessions::Sessions;

/// What the proxy knows about MCP servers, and about calls that wait for their responses.
#[derive(Debug)]
pub(crate) struct McpServers {
    /// What trusted servers say of their tools.
    pub(crate) hints: Arc<Hints>,
    pub(crate) sessions: Arc<Sessions>,
}

impl McpServers {
    /// `trusted`: the servers whose hints are believed.
    pub(crate) fn new(trusted: &[String]) -> Self {
        Self { hints: Arc::new(Hints::new(trusted)), sessions: Arc::default() }
    }
}
