//! The session that a request belongs to.

use http::header::HeaderMap;
use store_core::key::{Digest, Encoder};

use super::head;
use crate::http::target::Target;

/// One session of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey(Digest);

impl SessionKey {
    /// The session that a request names.
    pub fn of(headers: &HeaderMap, target: &Target) -> Option<Self> {
        let id = head::session_id(headers)?;
        let whole = Encoder::new("mcp-session/v1")
            .field(target.scheme.as_str())
            .field(&target.authority.host)
            .field(target.authority.port.to_be_bytes())
            .field(id);
        Some(Self(whole.finish()))
    }
}
