//! The stream that answers a tool call of MCP, read up to the response.

use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use proxy_core::mcp::caller::Caller;
use proxy_core::mcp::long_event::{LongEvent, LongResponse};
use proxy_core::mcp::reply::ToolOutcome;
use proxy_core::mcp::sse::{self, Cutter, SsePiece};

use super::sessions::{ExpectedResponse, SessionResponse};
use crate::body::memory::GrowingShare;
use crate::context::ProxyContext;
use crate::front::delivery::PendingDelivery;
use crate::steps::record::client::StreamClient;
use crate::upstream::response_body::UpstreamBody;
use crate::upstream::send::Silence;

/// The stream that answers one call.
pub(super) struct ToolStream {
    pub(super) caller: Arc<Caller>,
    pub(super) source: UpstreamBody,
    pub(super) cutter: Cutter,
    /// For the event that it holds, and the message in it until that is on disk.
    share: GrowingShare,
    /// Its events have ids: it may continue on another stream.
    pub(super) resumable: bool,
    /// An event that is too large to be held.
    long: Option<LongEvent>,
    pub(super) expected: Option<ExpectedResponse>,
    /// Whether the response arrives.
    pub(super) delivery: Option<PendingDelivery>,
    silence: Silence,
    /// How many notes of the call's progress had come elsewhere, when last looked at.
    notes: u64,
}

/// How the wait for the response ended.
pub(super) enum StreamEvent {
    /// In this stream: the event, the message in it, and what it says.
    Here { event: Bytes, message: Bytes, outcome: ToolOutcome },
    /// In this stream, but too large to be held: the last part of the event.
    Long(Bytes, LongResponse),
    /// On another stream of the session.
    Elsewhere(SessionResponse),
    /// The stream ended without it, properly or not.
    Missing(Option<io::Error>),
}

impl ToolStream {
    pub(super) fn new(
        context: &ProxyContext,
        caller: Arc<Caller>,
        source: UpstreamBody,
        silence: Silence,
        delivery: Option<PendingDelivery>,
    ) -> Self {
        let sessions = &context.calls.mcp.sessions;
        let expected = caller.session().map(|session| sessions.expect(session, caller.id()));
        let cutter = Cutter::default();
        let notes = silence.notes();
        Self {
            caller,
            source,
            cutter,
            share: GrowingShare::of(&context.bodies.answers),
            resumable: false,
            long: None,
            expected,
            delivery,
            silence,
            notes,
        }
    }

    /// Whether notes of the call's progress came elsewhere, so that its silence begins again.
    fn is_alive(&mut self) -> bool {
        let before = std::mem::replace(&mut self.notes, self.silence.notes());
        before != self.notes
    }

    pub(super) async fn response(&mut self, client: &mut StreamClient) -> StreamEvent {
        loop {
            while let Some(piece) = self.cutter.next_piece() {
                if let Break(arrival) = self.take(piece, client).await {
                    return arrival;
                }
            }
            let frame = tokio::select! {
                biased;
                frame = self.source.frame() => frame,
                left = client.cancelled() => return StreamEvent::Missing(Some(left)),
                Some(response) = response_elsewhere(self.expected.as_mut()) => {
                    return StreamEvent::Elsewhere(response);
                }
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    self.cutter.push(&data);
                    if !self.share.covers(self.cutter.held()) {
                        self.cutter.overflow();
                    }
                }
                Some(Ok(Err(_))) => {}
                Some(Err(error)) if error.kind() == io::ErrorKind::TimedOut && self.is_alive() => {
                    self.source.set_limit(self.silence.limit);
                }
                Some(Err(error)) => return StreamEvent::Missing(Some(error)),
                None => return StreamEvent::Missing(None),
            }
        }
    }

    /// Passes a piece of the stream on, unless it holds the response.
    async fn take(
        &mut self,
        piece: SsePiece,
        client: &mut StreamClient,
    ) -> ControlFlow<StreamEvent> {
        match piece {
            SsePiece::Part(part) => {
                self.long.get_or_insert_default().push(&part);
                client.send(part).await;
            }
            SsePiece::Last(part) => {
                let mut long = self.long.take().unwrap_or_default();
                long.push(&part);
                match long.finish() {
                    Some(response) => return Break(StreamEvent::Long(part, response)),
                    None => client.send(part).await,
                }
            }
            SsePiece::Event(event) => {
                let read = sse::event(&event);
                self.resumable |= read.resumable;
                match self.caller.outcome(&read.data) {
                    Some(outcome) => {
                        let message = read.data.into();
                        return Break(StreamEvent::Here { event, message, outcome });
                    }
                    None => client.send(event).await,
                }
            }
        }
        Continue(())
    }

    /// Passes on what comes behind the response, as long as the client reads.
    pub(super) async fn pass_rest(mut self, mut client: StreamClient) {
        client.send(self.cutter.rest()).await;
        while client.is_there() {
            match self.source.frame().await.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => client.send(data).await,
                Some(Ok(Err(_))) => {}
                Some(Err(_)) => return,
                None => break,
            }
        }
        client.end(None).await;
    }
}

async fn response_elsewhere(expected: Option<&mut ExpectedResponse>) -> Option<SessionResponse> {
    match expected {
        Some(expected) => expected.response().await,
        None => std::future::pending().await,
    }
}
