//! Request bodies that are read to their end before anything is claimed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::{HeaderMap, Version};
use proxy_core::error::Error;
use sha2::{Digest as _, Sha256};
use store::key::Digest;

use super::incoming::IncomingBody;
use super::memory::AnswerMemory;
use super::quota::{Quota, QuotaShare};
use super::spool::{IN_MEMORY, Spool, SpoolArea, SpooledBody};
use crate::config::{Limits, SpoolConfig};

/// Where bodies are buffered, and how much of them.
#[derive(Debug)]
pub(crate) struct BodyBuffers {
    /// Also for the bodies of answers.
    pub(crate) spool: Arc<SpoolArea>,
    pub(crate) answers: Arc<AnswerMemory>,
    /// For bodies of which the meaning is not known yet.
    memory: Arc<Quota>,
    max_request: u64,
    stall: Duration,
}

/// A request's body, read to its end.
#[derive(Debug)]
pub(crate) struct BufferedBody {
    pub(crate) bytes: SpooledBody,
    /// The SHA-256 of all its bytes.
    pub(crate) sha256: Digest,
    pub(crate) trailers: Option<HeaderMap>,
    /// Its share of the memory for bodies of which the meaning is not known yet.
    memory: QuotaShare,
}

impl BodyBuffers {
    /// `stall`: how long a body may make no progress.
    pub(crate) fn new(spool: SpoolConfig, limits: &Limits, stall: Duration) -> Self {
        Self {
            spool: Arc::new(SpoolArea::new(spool.folder, spool.quota)),
            answers: Arc::new(AnswerMemory::new(limits.max_answers)),
            memory: Arc::new(Quota::new(limits.max_unread as u64)),
            max_request: limits.max_request,
            stall,
        }
    }

    /// Refuses a body whose announced length is over the limit. Called before the body is polled,
    /// so that a client that waits for `100 Continue` sends none of it.
    pub(crate) fn check_announced(&self, body: &Incoming) -> Result<(), Error> {
        let limit = self.max_request;
        if body.size_hint().lower() > limit { Err(Error::TooLarge(limit)) } else { Ok(()) }
    }

    /// Reads a body to its end.
    pub(crate) async fn read(
        &self,
        body: Incoming,
        version: Version,
    ) -> Result<BufferedBody, Error> {
        let mut body = IncomingBody::new(body, version, self.stall);
        let mut spool = Spool::new(&self.spool);
        let mut hash = Sha256::new();
        let mut memory = QuotaShare::of(&self.memory);
        let (mut size, mut trailers) = (0_u64, None);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error.kind() {
                io::ErrorKind::TimedOut => Error::BodyStalled(self.stall.as_secs()),
                _ => Error::Malformed(format!("the request body broke off: {error}")),
            })?;
            match frame.into_data() {
                Ok(data) => {
                    size += data.len() as u64;
                    if size > self.max_request {
                        return Err(Error::TooLarge(self.max_request));
                    }
                    let in_memory = if size > IN_MEMORY as u64 { 0 } else { size };
                    memory.resize(in_memory).map_err(|_| crowded())?;
                    hash.update(&data);
                    keep(&mut spool, data).await?;
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        let sha256 = Digest::from_bytes(hash.finalize().into());
        Ok(BufferedBody { bytes: spool.done(), sha256, trailers, memory })
    }
}

impl BufferedBody {
    /// A body that is in memory already.
    pub(crate) fn of(body: Bytes) -> Self {
        let memory = QuotaShare::of(&Arc::new(Quota::new(u64::MAX)));
        Self { sha256: Digest::of(&body), bytes: SpooledBody::of(body), trailers: None, memory }
    }

    /// Reads all of the body into memory, which counts as long as `self` lives.
    pub(crate) async fn load(&mut self) -> Result<Bytes, Error> {
        self.memory.resize(self.bytes.len()).map_err(|_| crowded())?;
        self.bytes.clone().load().await.map_err(|error| unreadable(&error))
    }

    /// The body, if it is small enough to be in memory.
    pub(crate) fn in_memory(&self) -> Option<&[u8]> {
        self.bytes.in_memory().map(|body| &body[..])
    }
}

fn crowded() -> Error {
    Error::QueueFull("too many request bodies are being read".to_owned())
}

/// A spooled body cannot be read back.
pub(crate) fn unreadable(error: &io::Error) -> Error {
    tracing::error!(%error, "cannot read a spooled body");
    Error::Internal
}

async fn keep(spool: &mut Spool, data: Bytes) -> Result<(), Error> {
    spool.push(data).await.map_err(|error| {
        tracing::warn!(%error, "cannot spool a request body");
        unspooled(&error)
    })
}

/// A body cannot be spooled.
fn unspooled(error: &io::Error) -> Error {
    use rustix::io::Errno;

    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => {
            Error::QueueFull("too many files are open to store the request body".to_owned())
        }
        Some(Errno::NOSPC | Errno::DQUOT) | None => {
            Error::StoreFull("no space to store the request body; nothing was sent".to_owned())
        }
        Some(_) => Error::Internal,
    }
}
