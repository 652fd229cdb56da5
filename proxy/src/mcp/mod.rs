//! The Model Context Protocol over HTTP: streams that are watched, and responses that come on
//! another stream. What a message means is decided in [`proxy_core::mcp`].

pub(crate) mod late_stream;
pub(crate) mod servers;
pub(crate) mod sessions;
pub(crate) mod stream_reply;
mod tool_stream;
pub(crate) mod watch;
mod wrapper;

pub use proxy_core::http::meaning::is_secret_name as is_secret_variable;
pub use proxy_core::mcp::message::{KEY_MEMBER, Message, ToolCall, is_batch_without_calls, read};
pub use proxy_core::mcp::reply::{
    canonical_id, id_of_request, id_of_response, progress_token, with_id,
};
pub use proxy_core::mcp::sse;
pub use proxy_core::mcp::stdio::{STDIO_DOMAIN, STDIO_PORT, STDIO_PROOF, STDIO_PROVER};

pub use self::wrapper::WrapperProblem;
