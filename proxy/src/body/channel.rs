//! Answer bodies that a task writes while hyper reads them.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::Frame;
use tokio::sync::mpsc;

/// What travels through the channel.
#[derive(Debug)]
enum BodyPart {
    Data(Bytes),
    /// The proper end. A channel that closes without it is an answer that broke off.
    End(Option<HeaderMap>),
}

/// The end of the channel that a task writes an answer's body to.
#[derive(Debug)]
pub(crate) struct BodySender(mpsc::Sender<BodyPart>);

/// The client is gone.
#[derive(Debug)]
pub(crate) struct ClientGone;

impl BodySender {
    /// Waits until there is room, so that a slow client slows the upstream down.
    pub(crate) async fn data(&self, data: Bytes) -> Result<(), ClientGone> {
        self.0.send(BodyPart::Data(data)).await.map_err(|_| ClientGone)
    }

    /// Whether the client is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.is_closed()
    }

    /// Completes when the client is gone.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }

    /// Ends the body properly. A sender that is dropped instead breaks it off.
    pub(crate) async fn end(self, trailers: Option<HeaderMap>) {
        let _ = self.0.send(BodyPart::End(trailers)).await;
    }
}

/// The end of the channel that hyper reads an answer's body from.
#[derive(Debug)]
pub(crate) struct ChannelBody {
    pieces: mpsc::Receiver<BodyPart>,
    pub(super) left: Option<u64>,
    pub(super) ended: bool,
}

/// How many frames may be on their way from the upstream to the client.
const FRAMES: usize = 2;

/// A body that a task writes. `length`: its length, if that is known.
pub(crate) fn channel(length: Option<u64>) -> (BodySender, ChannelBody) {
    let (sender, pieces) = mpsc::channel(FRAMES);
    (BodySender(sender), ChannelBody { pieces, left: length, ended: false })
}

impl ChannelBody {
    /// A whole body with trailers. Its length is not announced, since only chunks carry trailers.
    pub(super) fn with_trailers(bytes: Bytes, trailers: HeaderMap) -> Self {
        let (sender, pieces) = mpsc::channel(2);
        for piece in [BodyPart::Data(bytes), BodyPart::End(Some(trailers))] {
            let _ = sender.try_send(piece);
        }
        Self { pieces, left: None, ended: false }
    }

    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = match ready!(self.pieces.poll_recv(cx)) {
            Some(BodyPart::Data(data)) => {
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                Some(Ok(Frame::data(data)))
            }
            Some(BodyPart::End(trailers)) => {
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
