//! Bodies on their way: to the client, to the upstream, and out of the recorder's channel.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::{HeaderMap, Version};
use tokio::sync::mpsc;

use crate::deadline::TurnGuard;
use crate::patience::Patience;
use crate::pool::Connection;
use crate::spool::{Chunks, Stored};

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

/// An upstream's body; gives its connection back to the pool when it is whole.
#[derive(Debug)]
pub(crate) struct FromUpstream {
    body: Timed,
    connection: Option<Connection>,
}

impl FromUpstream {
    pub(crate) fn new(body: Timed, connection: Connection) -> Self {
        Self { body, connection: Some(connection) }
    }
}

impl HttpBody for FromUpstream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for FromUpstream {
    fn drop(&mut self) {
        if self.body.is_whole()
            && let Some(connection) = self.connection.take()
        {
            connection.give_back();
        }
    }
}

/// What travels through the recorder's channel.
#[derive(Debug)]
enum Piece {
    Data(Bytes),
    /// The proper end. A channel that closes without it is an answer that broke off.
    End(Option<HeaderMap>),
}

/// The recorder's end of an answer's body.
#[derive(Debug)]
pub(crate) struct Feeder(mpsc::Sender<Piece>);

/// The client is gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl Feeder {
    /// Waits for room: a slow client slows the upstream.
    pub(crate) async fn data(&self, data: Bytes) -> Result<(), Gone> {
        self.0.send(Piece::Data(data)).await.map_err(|_| Gone)
    }

    /// Is the client gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.is_closed()
    }

    /// Ends when nobody takes parts any more.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }

    /// Ends the body properly. A feeder that is dropped instead breaks it off.
    pub(crate) async fn end(self, trailers: Option<HeaderMap>) {
        let _ = self.0.send(Piece::End(trailers)).await;
    }
}

/// The client's end of an answer's body.
#[derive(Debug)]
pub(crate) struct Fed {
    pieces: mpsc::Receiver<Piece>,
    left: Option<u64>,
    ended: bool,
}

/// How many frames may lie between upstream and client.
const FRAMES: usize = 8;

/// A body that a task feeds; `length` where it is known.
pub(crate) fn fed(length: Option<u64>) -> (Feeder, Fed) {
    let (sender, pieces) = mpsc::channel(FRAMES);
    (Feeder(sender), Fed { pieces, left: length, ended: false })
}

impl Fed {
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = match ready!(self.pieces.poll_recv(cx)) {
            Some(Piece::Data(data)) => {
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                Some(Ok(Frame::data(data)))
            }
            Some(Piece::End(trailers)) => {
                self.ended = true;
                trailers.map(|trailers| Ok(Frame::trailers(trailers)))
            }
            None => {
                self.ended = true;
                Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer broke off")))
            }
        };
        Poll::Ready(frame)
    }
}

/// The body of an answer on its way to the client.
#[derive(Debug)]
pub(crate) struct Body {
    kind: Kind,
    /// Held until hyper is done with the body.
    turn: Option<TurnGuard>,
}

#[derive(Debug)]
enum Kind {
    Whole(Bytes),
    Upstream(FromUpstream),
    Fed(Fed),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { kind: Kind::Whole(bytes.into()), turn: None }
    }

    /// A whole body with trailers; its length is not told, since only chunks carry trailers.
    pub(crate) fn with_trailers(bytes: Bytes, trailers: HeaderMap) -> Self {
        let (sender, pieces) = mpsc::channel(2);
        for piece in [Piece::Data(bytes), Piece::End(Some(trailers))] {
            let _ = sender.try_send(piece);
        }
        Self { kind: Kind::Fed(Fed { pieces, left: None, ended: false }), turn: None }
    }

    pub(crate) fn upstream(body: FromUpstream) -> Self {
        Self { kind: Kind::Upstream(body), turn: None }
    }

    pub(crate) fn fed(body: Fed) -> Self {
        Self { kind: Kind::Fed(body), turn: None }
    }

    /// Ends the client's turn when hyper is done with this body.
    #[must_use]
    pub(crate) fn during(mut self, turn: TurnGuard) -> Self {
        self.turn = Some(turn);
        self
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.get_mut().kind {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Upstream(body) => Pin::new(body).poll_frame(cx),
            Kind::Fed(body) => body.poll_piece(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Upstream(body) => body.is_end_stream(),
            Kind::Fed(body) => body.ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Upstream(body) => body.size_hint(),
            Kind::Fed(Fed { left: Some(left), .. }) => SizeHint::with_exact(*left),
            Kind::Fed(_) => SizeHint::default(),
        }
    }
}

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
