//! Bodies as they come from a socket, given up when nothing comes for a while.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::Version;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use crate::body::stall_timer::Patience;

/// A body as it comes from a socket, given up when nothing comes for a while.
#[derive(Debug)]
pub(crate) struct Timed {
    incoming: Incoming,
    /// Its end is told by a flag (RFC 9113, 8.1): hyper takes a stream that was reset with `NO_ERROR` for one
    /// that has ended.
    flagged: bool,
    patience: Patience,
    ended: bool,
}

impl Timed {
    /// The body of a message of this version of HTTP. `limit`: for how long it may make no progress.
    pub(crate) fn new(incoming: Incoming, version: Version, limit: Duration) -> Self {
        let flagged = version == Version::HTTP_2;
        Self { incoming, flagged, patience: Patience::new(limit), ended: false }
    }

    /// It came to its proper end.
    pub(crate) fn is_whole(&self) -> bool {
        self.ended || self.incoming.is_end_stream()
    }
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(None) if this.flagged && !this.incoming.is_end_stream() => {
                let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the stream was reset");
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(frame) => {
                this.patience.rest();
                this.ended = frame.is_none();
                Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)))
            }
            Poll::Pending => {
                ready!(this.patience.poll_over(cx));
                let what = format!("nothing came for {} s", this.patience.limit().as_secs());
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
