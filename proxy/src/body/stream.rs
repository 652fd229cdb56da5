//! The bodies of answers on their way to the client, and the recorder's channel to them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::front::turn::TurnGuard;
use crate::upstream::response_body::FromUpstream;

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
