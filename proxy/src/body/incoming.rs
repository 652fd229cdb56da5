//! Bodies as they come from a socket, given up when nothing comes for a while.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::Version;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use proxy_core::http::trailers::strip_trailers;

use crate::body::stall_timer::StallTimer;

/// A body as it comes from a socket, given up when it makes no progress for a while.
#[derive(Debug)]
pub(crate) struct IncomingBody {
    incoming: Incoming,
    /// A flag marks its end (RFC 9113, 8.1): hyper takes a stream that was reset with `NO_ERROR`
    /// for one that has ended.
    flagged: bool,
    stall: StallTimer,
    ended: bool,
}

impl IncomingBody {
    /// The body of a message of this version of HTTP. `limit`: how long it may make no progress.
    pub(crate) fn new(incoming: Incoming, version: Version, limit: Duration) -> Self {
        let flagged = version == Version::HTTP_2;
        Self { incoming, flagged, stall: StallTimer::new(limit), ended: false }
    }

    /// Lets it make no progress for so long from now on.
    pub(crate) fn set_limit(&mut self, limit: Duration) {
        self.stall.set_limit(limit);
    }

    /// Whether it came to its proper end.
    pub(crate) fn is_whole(&self) -> bool {
        self.ended || self.incoming.is_end_stream()
    }
}

impl IncomingBody {
    /// The next frame. Trailers come without what must not be in them.
    fn poll_stripped(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
            match frame.map(|frame| frame.map(Frame::into_trailers)) {
                Some(Ok(Ok(mut trailers))) => {
                    strip_trailers(&mut trailers);
                    if !trailers.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                    }
                }
                Some(Ok(Err(frame))) => return Poll::Ready(Some(Ok(frame))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl HttpBody for IncomingBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        match this.poll_stripped(cx) {
            Poll::Ready(None) if this.flagged && !this.incoming.is_end_stream() => {
                let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the stream was reset");
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(frame) => {
                this.stall.progress();
                this.ended = frame.is_none();
                Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)))
            }
            Poll::Pending => {
                ready!(this.stall.poll_stalled(cx));
                let what = format!("no data for {} s", this.stall.limit().as_secs());
                Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, what))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
