//! Records an answer's body as it comes, and holds what is not a stream.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::Frame;
use hyper::header::CONTENT_TYPE;
use sha2::{Digest as _, Sha256};
use store::MAX_KEPT_BODY;
use store::call::AnswerBody;

use crate::body::quota::QuotaShare;
use crate::body::spool::{Chunks, Spool, SpoolArea};
use crate::upstream::response_body::UpstreamBody;

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
    /// Of the memory for answers that cannot be spooled.
    spare: QuotaShare,
    spools: bool,
    keeping: bool,
    hash: Sha256,
    size: u64,
}

impl Recorder {
    pub(super) fn new(area: &Arc<SpoolArea>) -> Self {
        Self {
            spool: Spool::new(area),
            spare: QuotaShare::of(&area.spare_memory),
            spools: true,
            keeping: true,
            hash: Sha256::new(),
            size: 0,
        }
    }

    /// Records `data`. After recording stops, the spool has all bytes before `data` and none of it.
    pub(super) async fn record(&mut self, data: &Bytes) {
        self.hash.update(data);
        self.size += data.len() as u64;
        if !self.keeping {
            return;
        }
        self.keeping = self.size <= MAX_KEPT_BODY as u64 && self.keep(data).await;
    }

    /// Keeps `data` in the spool; in memory, if that is not possible. The store has a reserve on the disk for
    /// what is recorded, and the spool has none.
    async fn keep(&mut self, data: &Bytes) -> bool {
        if self.spools {
            match self.spool.push(data.clone()).await {
                Ok(()) => return true,
                Err(error) => {
                    tracing::warn!(%error, "cannot spool an answer; it is kept in memory");
                }
            }
            self.spools = false;
        }
        let fits = self.spare.resize(self.size).is_ok();
        if fits {
            self.spool.push_to_memory(data);
        } else {
            tracing::warn!("no memory to keep an answer; only its digest is kept");
        }
        fits
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

    pub(super) async fn finish(self) -> AnswerBody {
        let dropped = AnswerBody::Dropped { sha256: self.hash.finalize().into(), size: self.size };
        if !self.keeping {
            return dropped;
        }
        match self.spool.done().load().await {
            Ok(bytes) => AnswerBody::Kept(bytes),
            Err(error) => {
                tracing::warn!(%error, "cannot read a spooled answer; only its digest is kept");
                dropped
            }
        }
    }

    /// Reads a body to its end, unless it is too large.
    pub(super) async fn hold(&mut self, source: &mut UpstreamBody) -> HeldBody {
        let mut trailers = None;
        while let Some(frame) = source.frame().await {
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => {
                    self.record(&data).await;
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
