//! The bodies of answers on their way to the client.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::channel::ChannelBody;
use crate::front::turn::TurnGuard;
use crate::upstream::response_body::UpstreamBody;

/// The body of an answer on its way to the client.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    source: Source,
    /// Held until hyper is done with the body.
    turn: Option<TurnGuard>,
}

#[derive(Debug)]
enum Source {
    Whole(Bytes),
    Upstream(UpstreamBody),
    Channel(ChannelBody),
}

impl ReplyBody {
    pub(crate) fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { source: Source::Whole(bytes.into()), turn: None }
    }

    /// A whole body with trailers. Its length is not announced, since only chunks carry trailers.
    pub(crate) fn with_trailers(bytes: Bytes, trailers: HeaderMap) -> Self {
        Self { source: Source::Channel(ChannelBody::with_trailers(bytes, trailers)), turn: None }
    }

    pub(crate) fn upstream(body: UpstreamBody) -> Self {
        Self { source: Source::Upstream(body), turn: None }
    }

    pub(crate) fn channel(body: ChannelBody) -> Self {
        Self { source: Source::Channel(body), turn: None }
    }

    /// Keeps the exchange on its connection open until hyper is done with this body.
    #[must_use]
    pub(crate) fn during(mut self, turn: TurnGuard) -> Self {
        self.turn = Some(turn);
        self
    }
}

impl HttpBody for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.get_mut().source {
            Source::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Source::Upstream(body) => Pin::new(body).poll_frame(cx),
            Source::Channel(body) => body.poll_piece(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Whole(bytes) => bytes.is_empty(),
            Source::Upstream(body) => body.is_end_stream(),
            Source::Channel(body) => body.ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Upstream(body) => body.size_hint(),
            Source::Channel(ChannelBody { left: Some(left), .. }) => SizeHint::with_exact(*left),
            Source::Channel(_) => SizeHint::default(),
        }
    }
}
