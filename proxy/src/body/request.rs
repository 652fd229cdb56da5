//! The bodies of requests on their way to the upstream.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::incoming::IncomingBody;
use super::spool::{Chunks, SpooledBody};

/// The body of a request on its way to the upstream.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// In memory.
    Whole(Bytes),
    /// As it comes from the client.
    Live(IncomingBody),
    /// Buffered before, with the trailers that the client sent.
    Spooled(Chunks, Option<HeaderMap>),
    /// Counts how many bytes were taken from it.
    Counted(Box<RequestBody>, Arc<AtomicU64>),
}

impl Default for RequestBody {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl RequestBody {
    /// A buffered body, from memory if it is there.
    pub(crate) fn spooled(spooled: &SpooledBody, trailers: Option<&HeaderMap>) -> Self {
        match (spooled.in_memory(), trailers) {
            (Some(bytes), None) => Self::Whole(bytes.clone()),
            _ => Self::Spooled(Chunks::new(spooled.clone()), trailers.cloned()),
        }
    }
}

impl RequestBody {
    /// The body once more, if none of it has to be read twice: it is empty, or in memory.
    pub(crate) fn again(&self) -> Option<Self> {
        match self {
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Live(body) if body.is_end_stream() => Some(Self::default()),
            _ => None,
        }
    }
}

impl HttpBody for RequestBody {
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
            Self::Spooled(chunks, trailers) => match ready!(chunks.poll_next(cx)) {
                Some(chunk) => Poll::Ready(Some(chunk.map(Frame::data))),
                None => Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
            },
            Self::Counted(body, taken) => {
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
            Self::Spooled(chunks, trailers) => chunks.left() == 0 && trailers.is_none(),
            Self::Counted(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Live(body) => body.size_hint(),
            Self::Spooled(chunks, None) => SizeHint::with_exact(chunks.left()),
            Self::Spooled(_, Some(_)) => SizeHint::default(),
            Self::Counted(body, _) => body.size_hint(),
        }
    }
}
