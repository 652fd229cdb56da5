//! The Model Context Protocol, as far as it decides about calls (docs/MCP.md): which message is a
//! tool call, which call it means, what its response says, how a stored response answers another
//! request.
//!
//! It reads texts and writes texts. The proxy uses it for MCP over HTTP, and the wrapper of servers
//! on stdio for the messages of those.

pub mod caller;
pub mod decide;
pub mod head;
pub mod long_event;
mod lost_words;
pub mod message;
pub mod reply;
pub mod session_key;
pub mod sse;
pub mod stdio;
pub mod tool_hints;
