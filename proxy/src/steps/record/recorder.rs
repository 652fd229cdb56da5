//! Records an answer's body as it comes, and holds what is not a stream.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::Frame;
use hyper::header::CONTENT_TYPE;
use sha2::{Digest as _, Sha256};
use store::call::AnswerBody;
use store::{MAX_HELD_BODY, MAX_KEPT_BODY};

use crate::body::buffer::BodyBuffers;
use crate::body::memory::{AnswerMemory, MemoryShare, counted};
use crate::body::pieces::WholeBody;
use crate::body::spool::{Chunks, IN_MEMORY, Spool, SpooledBody};
use crate::upstream::response_body::UpstreamBody;

/// How long an answer that is held waits for room. The upstream waits with it.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Whether the media type is one of streams. Chunked coding alone makes no stream.
pub(super) fn is_stream(headers: &HeaderMap) -> bool {
    const STREAMS: [&str; 7] = [
        "text/event-stream",
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonl",
        "application/json-seq",
        "multipart/x-mixed-replace",
    ];
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media = value.split(';').next().unwrap_or("").trim();
    STREAMS.iter().any(|stream| media.eq_ignore_ascii_case(stream))
}

/// Records a body as it comes: its bytes up to the store's limit, its digest and size always.
#[derive(Debug)]
pub(super) struct Recorder {
    spool: Spool,
    memory: Arc<AnswerMemory>,
    /// For what is in the spool's memory.
    share: Option<MemoryShare>,
    /// How much it is to keep at most, in bytes.
    most: usize,
    /// The disk takes nothing: the rest stays in memory.
    disk_failed: bool,
    keeping: bool,
    hash: Sha256,
    size: u64,
}

/// A body that came whole, as it is recorded and as the client gets it.
#[derive(Debug)]
pub(super) struct KeptBody {
    pub(super) recorded: AnswerBody,
    pub(super) held: WholeBody,
    pub(super) sha256: [u8; 32],
    /// For a body that is in a file, and in memory until it is recorded.
    pub(super) share: Option<MemoryShare>,
}

impl Recorder {
    /// `length`: of the body, if it is known.
    pub(super) fn new(bodies: &BodyBuffers, length: Option<u64>) -> Self {
        let mut spool = Spool::new(&bodies.spool);
        spool.set_most_in_memory(MAX_HELD_BODY);
        let most = length.and_then(|length| usize::try_from(length).ok());
        Self {
            spool,
            memory: Arc::clone(&bodies.answers),
            share: None,
            most: most.unwrap_or(MAX_KEPT_BODY).min(MAX_KEPT_BODY),
            disk_failed: false,
            keeping: true,
            hash: Sha256::new(),
            size: 0,
        }
    }

    /// Takes room for `self.size` bytes: in memory if there is much, else in a file.
    async fn take_room(&mut self, max_wait: Duration) -> bool {
        if self.size <= MAX_HELD_BODY as u64 || self.spool.has_room() {
            return true;
        }
        if self.size <= IN_MEMORY as u64 {
            if self.share.is_none() {
                self.share = self.memory.try_hold(IN_MEMORY);
                self.share.is_some().then(|| self.spool.grow_memory());
            }
            if self.share.is_some() {
                return true;
            }
        }
        let Some(room) = self.spool.area().room(self.most, max_wait).await else {
            tracing::warn!("the spool is full; only the digest of an answer is kept");
            return false;
        };
        self.spool.set_room(room);
        self.spool.set_most_in_memory(MAX_HELD_BODY);
        true
    }

    /// Records `data`. After recording stops, the spool has all bytes before `data` and none of it.
    /// `max_wait`: how long it waits for room, while many other answers are recorded.
    pub(super) async fn record(&mut self, data: &Bytes, max_wait: Duration) {
        self.hash.update(data);
        self.size += data.len() as u64;
        if !self.keeping {
            return;
        }
        self.keeping = self.size <= MAX_KEPT_BODY as u64 && self.keep(data, max_wait).await;
    }

    /// Keeps `data` in the spool; in memory, if the disk does not take it. The store has a reserve on the disk
    /// for what is recorded, and the spool has none.
    async fn keep(&mut self, data: &Bytes, max_wait: Duration) -> bool {
        if !self.disk_failed {
            if !self.take_room(max_wait).await {
                return false;
            }
            match self.spool.push(data.clone()).await {
                Ok(()) => return true,
                Err(error) => {
                    tracing::warn!(%error, "cannot spool an answer; it is kept in memory");
                }
            }
            self.disk_failed = true;
        }
        let fits = self.take_spare(data.len());
        if fits {
            self.spool.push_to_memory(data);
        } else {
            tracing::warn!("no memory to keep an answer; only its digest is kept");
        }
        fits
    }

    /// Takes memory for `length` bytes, and for what came before.
    fn take_spare(&mut self, length: usize) -> bool {
        let has = self.share.as_ref().map_or(0, MemoryShare::num_permits);
        let needed = (self.size as usize).max(has + length) - has;
        let Some(more) = self.memory.try_spare(needed) else { return false };
        match &mut self.share {
            Some(share) => share.merge(more),
            None => self.share = Some(more),
        }
        true
    }

    /// Takes out what was kept so far, to be passed on.
    pub(super) fn backlog(&mut self) -> Chunks {
        let empty = Spool::new(self.spool.area());
        Chunks::new(std::mem::replace(&mut self.spool, empty).done())
    }

    /// What came so far, while more may come.
    pub(super) fn digest_so_far(&self) -> AnswerBody {
        AnswerBody::Dropped { sha256: self.hash.clone().finalize().into(), size: self.size }
    }

    /// Reads a body to its end, however large it is.
    pub(super) async fn rest(
        &mut self,
        source: &mut UpstreamBody,
    ) -> io::Result<Option<HeaderMap>> {
        loop {
            match self.hold(source).await {
                HeldBody::Whole(trailers) => return Ok(trailers),
                HeldBody::Broken(error) => return Err(error),
                HeldBody::Long(_) => {}
            }
        }
    }

    pub(super) async fn finish(self) -> KeptBody {
        let sha256 = self.hash.finalize().into();
        let spooled = if self.disk_failed { self.spool.done() } else { self.spool.whole().await };
        if self.keeping
            && let Some(bytes) = in_memory(&spooled, self.disk_failed).await
        {
            let bytes = match self.share {
                Some(share) => counted(bytes, [share]),
                None => bytes,
            };
            let held = WholeBody::Memory(bytes.clone());
            return KeptBody { recorded: AnswerBody::Kept(bytes), held, sha256, share: None };
        }
        let (mut recorded, mut share) = (AnswerBody::Dropped { sha256, size: self.size }, None);
        if self.keeping {
            // What is judged may be a copy: decoded, or the message in it.
            share = self.memory.whole(2 * spooled.len() as usize).await.ok();
            match spooled.clone().load().await {
                Ok(bytes) => recorded = AnswerBody::Kept(bytes),
                Err(error) => {
                    tracing::warn!(%error, "cannot read a spooled answer; only its digest is kept");
                }
            }
        }
        KeptBody { recorded, held: WholeBody::File(spooled), sha256, share }
    }

    /// Reads a body to its end, unless it is too large.
    pub(super) async fn hold(&mut self, source: &mut UpstreamBody) -> HeldBody {
        let mut trailers = None;
        while let Some(frame) = source.frame().await {
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => {
                    self.record(&data, MAX_WAIT).await;
                    if !self.keeping {
                        return HeldBody::Long(Some(data));
                    }
                }
                Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
                Err(error) => return HeldBody::Broken(error),
            }
        }
        HeldBody::Whole(trailers)
    }
}

/// The body, if all of it is in memory; after a failure of the disk, also what had gone to a file.
async fn in_memory(spooled: &SpooledBody, disk_failed: bool) -> Option<Bytes> {
    match spooled.in_memory() {
        None if disk_failed => spooled.clone().load().await.ok(),
        held => held.cloned(),
    }
}

/// How far a body that was to be held has been read.
pub(super) enum HeldBody {
    /// It came to its end, with these trailers.
    Whole(Option<HeaderMap>),
    Broken(io::Error),
    /// It is too large. This frame is not in the spool any more.
    Long(Option<Bytes>),
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn chunked_json_is_not_a_stream() {
        let stream = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            is_stream(&headers)
        };
        assert!(stream("Text/Event-Stream; charset=utf-8"));
        assert!(stream("application/x-ndjson"));
        assert!(!stream("application/json"));
        assert!(!is_stream(&HeaderMap::new()));
    }
}
