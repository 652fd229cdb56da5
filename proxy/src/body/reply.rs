//! The bodies of answers on their way to the client.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::channel::ChannelBody;
use crate::front::delivery::PendingDelivery;
use crate::front::turn::TurnGuard;
use crate::upstream::response_body::UpstreamBody;

/// The body of an answer on its way to the client.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    source: ReplySource,
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
        body
    }
}

impl From<ReplySource> for ReplyBody {
    fn from(source: ReplySource) -> Self {
        Self { source, turn: None, delivery: None }
    }
}

impl ReplyBody {
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
        let frame = match &mut this.source {
            ReplySource::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            ReplySource::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            ReplySource::Upstream(body) => Pin::new(body).poll_frame(cx),
            ReplySource::Channel(body) => body.poll_piece(cx),
        };
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
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            ReplySource::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            ReplySource::Upstream(body) => body.size_hint(),
            ReplySource::Channel(ChannelBody { left: Some(left), .. }) => {
                SizeHint::with_exact(*left)
            }
            ReplySource::Channel(_) => SizeHint::default(),
        }
    }
}
