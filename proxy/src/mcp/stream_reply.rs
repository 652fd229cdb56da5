//! Streamed answers to tool calls of MCP. Such an answer is complete with the response to the call,
//! not with the end of the stream. The event with the response is held until the outcome is
//! committed. Earlier and later events flow.

use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use proxy_core::error::Error;
use proxy_core::http::hop_by_hop::remove_where;
use proxy_core::mcp::caller::Caller;
use proxy_core::mcp::long_event::{LongEvent, LongResponse};
use proxy_core::mcp::reply::ToolOutcome;
use proxy_core::mcp::sse::{self, Cutter, SsePiece};
use store::call::{AnswerBody, Finish, Sent, Settled};
use tokio::time::timeout;

use super::sessions::{ExpectedResponse, SessionResponse};
use crate::body::channel::channel;
use crate::body::reply::ReplyBody;
use crate::front::delivery::{PendingDelivery, Proof};
use crate::steps::exchange::Exchange;
use crate::steps::record::client::StreamClient;
use crate::steps::record::facts::{AnswerFacts, AnswerInProgress};
use crate::steps::respond::problem;
use crate::steps::states::{Recorded, Running};
use crate::upstream::response_body::UpstreamBody;

/// Passes a stream on as it comes, from a separate task: the client may leave.
pub(crate) fn stream(
    answering: AnswerInProgress,
    caller: Arc<Caller>,
    source: UpstreamBody,
) -> Exchange<Recorded> {
    let AnswerInProgress { mut running, mut head, facts, took } = answering;
    // The response arrives before the stream ends.
    let delivery = running.delivery.take();
    // If no response comes, what is known about the call is added after the upstream's own bytes.
    remove_where(&mut head.headers, |name| name == "content-length");
    let (sender, body) = channel(None);
    let client = StreamClient::new(&running, sender, None);
    let recorded = Recorded::Streaming { head, body: ReplyBody::channel(body), took };
    let exchange = running.fork(recorded);
    let sessions = &exchange.context.calls.mcp.sessions;
    let expected = caller.session().map(|session| sessions.expect(session, caller.id()));
    let stream = ToolStream {
        caller,
        source,
        cutter: Cutter::default(),
        resumable: false,
        long: None,
        expected,
        delivery,
    };
    exchange.context.lifecycle.calls.spawn(pump(running, facts, stream, client));
    exchange
}

/// The stream that answers one call.
struct ToolStream {
    caller: Arc<Caller>,
    source: UpstreamBody,
    cutter: Cutter,
    /// Its events have ids: it may continue on another stream.
    resumable: bool,
    /// An event that is too large to be held.
    long: Option<LongEvent>,
    expected: Option<ExpectedResponse>,
    /// Whether the response arrives.
    delivery: Option<PendingDelivery>,
}

/// How the wait for the response ended.
enum StreamEvent {
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
    async fn response(&mut self, client: &mut StreamClient) -> StreamEvent {
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
                Some(Ok(Ok(data))) => self.cutter.push(&data),
                Some(Ok(Err(_))) => {}
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
    async fn pass_rest(mut self, mut client: StreamClient) {
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

async fn pump(
    running: Exchange<Running>,
    facts: AnswerFacts,
    mut stream: ToolStream,
    mut client: StreamClient,
) {
    match stream.response(&mut client).await {
        StreamEvent::Here { event, message, outcome } => {
            let finish = facts.responded(&running.state, outcome, message);
            end_with(running, finish, event, stream, client).await;
        }
        StreamEvent::Long(last, LongResponse { sha256, size }) => {
            let body = AnswerBody::Dropped { sha256, size };
            let finish = Finish {
                answer: Some(facts.stored(body, None)),
                ..facts.responded(&running.state, ToolOutcome::TOO_LONG, Bytes::new())
            };
            end_with(running, finish, last, stream, client).await;
        }
        StreamEvent::Elsewhere(response) => {
            if record_elsewhere(running, &facts, &stream.caller, response).await {
                stream.delivery.take().into_iter().for_each(PendingDelivery::forget);
                stream.pass_rest(client).await;
            }
        }
        StreamEvent::Missing(broke) => end_without(running, facts, stream, client, broke).await,
    }
}

/// Records a response, then gives the client what was held of it, and what comes behind it.
async fn end_with(
    running: Exchange<Running>,
    finish: Finish,
    held: Bytes,
    mut stream: ToolStream,
    mut client: StreamClient,
) {
    let (exchange, settled) = running.settle(finish).await;
    let delivery = stream.delivery.take();
    let delivery = delivery.filter(|delivery| client.is_there() && delivery.is_awaited());
    match settled {
        Ok(_) => {
            client.send(held).await;
            // Where the client was gone, it was dropped above: the response did not arrive.
            let took = client.is_there();
            delivery.filter(|_| took).into_iter().for_each(|one| one.arrived(Proof::Likely));
            stream.pass_rest(client).await;
        }
        Err(error) => end_with_problem(&exchange, &error, None, client).await,
    }
}

/// Records a response that came on another stream of the session. True: it is on disk.
async fn record_elsewhere(
    running: Exchange<Running>,
    facts: &AnswerFacts,
    caller: &Caller,
    response: SessionResponse,
) -> bool {
    let Some(outcome) = caller.outcome(&response.message) else { return false };
    let finish = facts.responded(&running.state, outcome, response.message);
    let (_, settled) = running.settle(finish).await;
    if settled.is_ok() {
        let _ = response.recorded.send(());
    }
    settled.is_ok()
}

/// Deals with a stream that ended without the response. If the session may send it on another
/// stream, waits for that. Otherwise the outcome is unknown, and the caller gets that in the place
/// of a response.
async fn end_without(
    running: Exchange<Running>,
    facts: AnswerFacts,
    stream: ToolStream,
    mut client: StreamClient,
    broke: Option<io::Error>,
) {
    let ToolStream { caller, cutter, resumable, expected, source, delivery, .. } = stream;
    drop(source);
    // What the client gets here says nothing about an effect.
    delivery.into_iter().for_each(PendingDelivery::forget);
    if let Some(expected) = expected.filter(|_| resumable) {
        client.send(cutter.rest()).await;
        match broke {
            None => client.end(None).await,
            // Dropped, so that the client sees that the stream broke off, and resumes it.
            Some(_) => drop(client),
        }
        return wait_elsewhere(running, facts, &caller, expected).await;
    }
    // The part of an event that has not ended is left out: the client would read what follows as
    // more of it.
    let (finish, error) = without_response(&running.state, &facts, broke.as_ref());
    let (exchange, settled) = running.settle(finish).await;
    match settled {
        Ok(settled) => end_with_problem(&exchange, &error, Some(&settled), client).await,
        Err(error) => end_with_problem(&exchange, &error, None, client).await,
    }
}

/// Waits for the response on another stream of the session.
async fn wait_elsewhere(
    running: Exchange<Running>,
    facts: AnswerFacts,
    caller: &Caller,
    mut expected: ExpectedResponse,
) {
    let context = Arc::clone(&running.context);
    let response = tokio::select! {
        response = timeout(context.timeouts.body_idle, expected.response()) => response,
        () = context.lifecycle.draining.cancelled() => Ok(None),
    };
    if let Ok(Some(response)) = response {
        record_elsewhere(running, &facts, caller, response).await;
        return;
    }
    let (finish, _) = without_response(&running.state, &facts, None);
    let _ = running.settle(finish).await;
}

fn without_response(
    running: &Running,
    facts: &AnswerFacts,
    broke: Option<&io::Error>,
) -> (Finish, Error) {
    let none = AnswerBody::Kept(Bytes::new());
    if let Some(error) = broke {
        return facts.truncated(running, none, error);
    }
    let detail = "the stream ended without a response to the call".to_owned();
    let error = io::Error::new(io::ErrorKind::UnexpectedEof, detail.clone());
    let (finish, _) = facts.truncated(running, none, &error);
    let error = Error::Upstream { detail: detail.clone(), sent: Sent::Maybe };
    (Finish { error: Some(detail.clone()), last_event: detail, ..finish }, error)
}

/// Ends a stream with a result that says what is known about the call.
async fn end_with_problem(
    exchange: &Exchange<()>,
    error: &Error,
    settled: Option<&Settled>,
    mut client: StreamClient,
) {
    client.send(problem::event(&exchange.context, &exchange.label, error, settled)).await;
    client.end(None).await;
}
