//! What the proxy knows of MCP servers and of calls that wait for their responses.

use std::sync::Arc;

use proxy_core::mcp::tool_hints::Hints;

use crate::mcp::sessions::Sessions;
use crate::mcp::undelivered::Undelivered;

/// What the proxy knows of MCP servers and of calls that wait for their responses.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) hints: Arc<Hints>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) undelivered: Undelivered,
}

impl Known {
    pub(crate) fn new(trusted: &[String]) -> Self {
        Self {
            hints: Arc::new(Hints::new(trusted)),
            sessions: Arc::default(),
            undelivered: Undelivered::default(),
        }
    }
}
