//! The bodies of answers on their way to the client.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use store::Store;

use super::channel::ChannelBody;
use super::memory::AnswerMemory;
use super::pieces::{Pieces, WholeBody};
use super::window::Window;
use crate::front::delivery::PendingDelivery;
use crate::front::turn::TurnGuard;
use crate::upstream::response_body::UpstreamBody;

/// The largest part of a body that is handed over at once, in bytes. HTTP/2 keeps as much of each
/// answer, and writes none of it until the client asks for it.
const FRAME: usize = 64 * 1024;

/// The body of an answer on its way to the client.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    source: ReplySource,
    /// Of a body that flows, unless it is short.
    window: Option<Window>,
    /// Held until hyper is done with the body.
    turn: Option<TurnGuard>,
    /// Whether the answer arrives, if the body says it.
    delivery: Option<PendingDelivery>,
}

#[derive(Debug)]
enum ReplySource {
    Whole(Bytes),
    Upstream(UpstreamBody),
    Channel(ChannelBody),
    Pieces(Box<Pieces>),
}

impl ReplyBody {
    pub(crate) fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::from(ReplySource::Whole(bytes.into()))
    }

    /// A whole body with trailers. Its length is not announced, since only chunks carry trailers.
    pub(crate) fn with_trailers(bytes: Bytes, trailers: HeaderMap) -> Self {
        Self::from(ReplySource::Channel(ChannelBody::with_trailers(bytes, trailers)))
    }

    /// A body that is read piece by piece as the client takes it. With trailers its length is not
    /// announced.
    pub(crate) fn pieces(
        body: WholeBody,
        trailers: Option<HeaderMap>,
        memory: &Arc<AnswerMemory>,
        store: &Store,
    ) -> Self {
        let pieces = Pieces::new(body, trailers, memory, store);
        Self::from(ReplySource::Pieces(Box::new(pieces)))
    }

    pub(crate) fn upstream(body: UpstreamBody) -> Self {
        Self::from(ReplySource::Upstream(body))
    }

    pub(crate) fn channel(body: ChannelBody) -> Self {
        Self::from(ReplySource::Channel(body))
    }

    /// Keeps the exchange on its connection open until hyper is done with this body. `delivery`: the
    /// answer did not arrive if the body is dropped before its end.
    #[must_use]
    pub(crate) fn during(self, turn: TurnGuard, delivery: Option<PendingDelivery>) -> Self {
        let mut body = Self { turn: Some(turn), delivery, ..self };
        body.hand_over();
        body.note_untaken();
        body
    }
}

impl From<ReplySource> for ReplyBody {
    fn from(source: ReplySource) -> Self {
        let flows = matches!(source, ReplySource::Upstream(_) | ReplySource::Channel(_));
        let mut body = Self { source, window: None, turn: None, delivery: None };
        let is_short = || body.size_hint().exact().is_some_and(|length| length <= FRAME as u64);
        body.window = (flows && !is_short()).then(Window::new);
        body
    }
}

impl ReplyBody {
    /// What is there of the answer waits for the client, unless it is the end.
    fn note_untaken(&self) {
        if let Some(turn) = &self.turn
            && !self.is_end_stream()
        {
            turn.note_untaken(true);
        }
    }

    /// Hands the answer's fate to its connection once the last part was read.
    fn hand_over(&mut self) {
        if self.is_end_stream()
            && let (Some(turn), Some(delivery)) = (&self.turn, self.delivery.take())
        {
            turn.expect(delivery);
        }
    }
}

impl HttpBody for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if let Some(window) = &mut this.window {
            ready!(window.poll_open(cx));
        }
        let mut frame = match &mut this.source {
            ReplySource::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            ReplySource::Whole(bytes) => {
                let frame = bytes.split_to(bytes.len().min(FRAME));
                Poll::Ready(Some(Ok(Frame::data(frame))))
            }
            ReplySource::Upstream(body) => Pin::new(body).poll_frame(cx),
            ReplySource::Channel(body) => body.poll_piece(cx),
            ReplySource::Pieces(body) => body.poll_piece(cx),
        };
        if let Some(window) = &mut this.window
            && let Poll::Ready(Some(Ok(_))) = &frame
        {
            let windowed = |data| window.take_in(data);
            frame = frame.map_ok(|frame| frame.map_data(windowed));
        }
        match (&frame, &this.turn) {
            (Poll::Ready(_), _) => this.note_untaken(),
            (Poll::Pending, Some(turn)) => turn.note_untaken(false),
            (Poll::Pending, None) => {}
        }
        if this.delivery.is_some() && !matches!(frame, Poll::Ready(Some(Err(_)))) {
            this.hand_over();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            ReplySource::Whole(bytes) => bytes.is_empty(),
            ReplySource::Upstream(body) => body.is_end_stream(),
            ReplySource::Channel(body) => body.ended,
            ReplySource::Pieces(body) => body.left() == 0 && body.trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            ReplySource::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            ReplySource::Upstream(body) => body.size_hint(),
            ReplySource::Channel(ChannelBody { left: Some(left), .. }) => {
                SizeHint::with_exact(*left)
            }
            ReplySource::Pieces(body) if body.trailers.is_none() => {
                SizeHint::with_exact(body.left())
            }
            ReplySource::Channel(_) | ReplySource::Pieces(_) => SizeHint::default(),
        }
    }
}
