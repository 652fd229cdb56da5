//! The header fields that are the engine's own.

use http::header::HeaderName;

pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub const RETRY_TOKEN: HeaderName = HeaderName::from_static("idempotency-retry-token");

/// The request header in which the wrapper of a server on stdio names its port. It is never sent on.
pub const STDIO_PORT: &str = "agent-stdio-port";

/// Fields of a request that are for the engine alone. Others that are named `Agent-…` are the tool's.
pub const OURS_IN_REQUESTS: &[&str] = &[
    "agent-session",
    "agent-goal",
    "agent-user",
    "agent-run",
    "agent-repeat",
    "agent-execution-id",
    STDIO_PORT,
    "idempotency-retry-token",
];

/// Fields of an answer that only the engine may set.
pub const OURS_IN_ANSWERS: &[&str] =
    &["agent-execution-id", "idempotency-status", "idempotent-replayed", "idempotency-retry-token"];
