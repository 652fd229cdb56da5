//! Takes a request's body whole, before anything is claimed.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::{HeaderMap, Version};
use proxy_core::error::Error;
use sha2::{Digest as _, Sha256};
use store::key::Digest;

use crate::body::budget::{Budget, Share};
use crate::body::spool::{IN_MEMORY, Spool, Stored};
use crate::body::timed::Timed;
use crate::context::ProxyContext;

/// A request's body.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) stored: Stored,
    /// The SHA-256 of all its bytes.
    pub(crate) sha256: Digest,
    pub(crate) trailers: Option<HeaderMap>,
    /// What it takes of the memory for bodies of which it is not known yet what they mean.
    memory: Share,
}

impl Taken {
    /// A body that is there already.
    pub(crate) fn of(body: Bytes) -> Self {
        let memory = Share::of(&Arc::new(Budget::new(usize::MAX)));
        Self { sha256: Digest::of(&body), stored: Stored::of(body), trailers: None, memory }
    }

    /// Reads all of it into memory, where it counts as long as this does.
    pub(crate) async fn load(&mut self) -> Result<Bytes, Error> {
        self.memory.resize(self.stored.len() as usize).map_err(|_| crowded())?;
        self.stored.clone().load().await.map_err(|error| unreadable(&error))
    }

    /// The body, where it is small enough to be looked at.
    pub(crate) fn in_memory(&self) -> Option<&[u8]> {
        self.stored.in_memory().map(|body| &body[..])
    }
}

/// Refuses a body whose announced length is over the limit. To be called before it is polled, so
/// that a client that waits for `100 Continue` sends nothing of it.
pub(crate) fn check_announced(context: &ProxyContext, body: &Incoming) -> Result<(), Error> {
    let limit = context.config.max_request;
    if body.size_hint().lower() > limit { Err(Error::TooLarge(limit)) } else { Ok(()) }
}

/// Reads the body to its end.
pub(crate) async fn take(
    context: &ProxyContext,
    body: Incoming,
    version: Version,
) -> Result<Taken, Error> {
    let stall = context.config.timeouts.body_stall;
    let limit = context.config.max_request;
    let mut body = Timed::new(body, version, stall);
    let mut spool = Spool::new(&context.spool);
    let mut hash = Sha256::new();
    let mut memory = Share::of(&context.unread);
    let (mut size, mut trailers) = (0_u64, None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Error::BodyStalled(stall.as_secs()),
            _ => Error::Malformed(format!("the request body broke off: {error}")),
        })?;
        match frame.into_data() {
            Ok(data) => {
                size += data.len() as u64;
                if size > limit {
                    return Err(Error::TooLarge(limit));
                }
                let in_memory = if size > IN_MEMORY as u64 { 0 } else { size as usize };
                memory.resize(in_memory).map_err(|_| crowded())?;
                hash.update(&data);
                keep(&mut spool, data).await?;
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    let sha256 = Digest::from_bytes(hash.finalize().into());
    Ok(Taken { stored: spool.done(), sha256, trailers, memory })
}

fn crowded() -> Error {
    Error::QueueFull("too many request bodies are coming in".to_owned())
}

/// A body that was spooled cannot be read back.
pub(crate) fn unreadable(error: &io::Error) -> Error {
    tracing::error!(%error, "cannot read a spooled body");
    Error::Internal
}

async fn keep(spool: &mut Spool, data: Bytes) -> Result<(), Error> {
    spool.push(data).await.map_err(|error| {
        tracing::warn!(%error, "cannot spool a request body");
        Error::StoreFull("there is no room to keep the request body; nothing was sent".to_owned())
    })
}
