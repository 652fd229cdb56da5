//! The bodies of requests on their way to the upstream.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::body::spool::{Chunks, Stored};
use crate::body::timed::Timed;

/// The body of a request on its way to the upstream.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// In memory.
    Whole(Bytes),
    /// As it comes from the client.
    Live(Timed),
    /// Kept whole before; trailers where the client sent some.
    Stored(Chunks, Option<HeaderMap>),
    /// Counts how many bytes were taken.
    Watched(Box<Outgoing>, Arc<AtomicU64>),
}

impl Default for Outgoing {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl Outgoing {
    /// A kept body; from memory where it is there.
    pub(crate) fn stored(stored: &Stored, trailers: Option<&HeaderMap>) -> Self {
        match (stored.in_memory(), trailers) {
            (Some(bytes), None) => Self::Whole(bytes.clone()),
            _ => Self::Stored(Chunks::new(stored.clone()), trailers.cloned()),
        }
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Live(body) => Pin::new(body).poll_frame(cx),
            Self::Stored(chunks, trailers) => match ready!(chunks.poll_next(cx)) {
                Some(chunk) => Poll::Ready(Some(chunk.map(Frame::data))),
                None => Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
            },
            Self::Watched(body, taken) => {
                let frame = ready!(Pin::new(body.as_mut()).poll_frame(cx));
                let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
                if let Some(data) = data {
                    taken.fetch_add(data.len() as u64, Ordering::AcqRel);
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Live(body) => body.is_end_stream(),
            Self::Stored(chunks, trailers) => chunks.left() == 0 && trailers.is_none(),
            Self::Watched(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Live(body) => body.size_hint(),
            Self::Stored(chunks, None) => SizeHint::with_exact(chunks.left()),
            Self::Stored(_, Some(_)) => SizeHint::default(),
            Self::Watched(body, _) => body.size_hint(),
        }
    }
}
