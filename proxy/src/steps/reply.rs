//! An answer to a client.

use std::time::Duration;

use hyper::Response;
use proxy_core::error::Error;

use crate::body::stream::Body;

/// An answer, and what the metrics are told of it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) response: Response<Body>,
    /// One word: how the request was decided.
    pub(crate) decision: &'static str,
    /// How long the upstream took to the head of its answer.
    pub(crate) upstream: Option<Duration>,
}

/// Does an answer tell its caller that the call took effect. (Whether it did, the store knows.)
pub(crate) fn tells(told: &Result<Reply, Error>) -> bool {
    match told {
        Ok(reply) => matches!(reply.decision, "executed" | "replayed" | "coalesced"),
        Err(error) => matches!(error, Error::NotKept { .. }),
    }
}
