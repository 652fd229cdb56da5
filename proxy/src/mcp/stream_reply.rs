//! Streamed answers to tool calls of MCP. Such an answer is complete with the response to the call,
//! not with the end of the stream. The event with the response is held until the outcome is
//! committed. Earlier and later events flow.

use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;
use std::time::Duration;

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
use crate::context::ProxyContext;
use crate::steps::exchange::Exchange;
use crate::steps::label::CallLabel;
use crate::steps::record::client::StreamClient;
use crate::steps::record::facts::{AnswerFacts, AnswerInProgress};
use crate::steps::record::late::{LateAnswer, LateFinish, LateSource};
use crate::steps::respond::problem;
use crate::steps::states::{Recorded, Running, SentCall};
use crate::upstream::response_body::UpstreamBody;
use crate::upstream::send::Silence;

/// Passes a stream on as it comes, from a separate task: the client may leave.
pub(crate) fn stream(
    answering: AnswerInProgress,
    caller: Arc<Caller>,
    source: UpstreamBody,
) -> Exchange<Recorded> {
    let AnswerInProgress { mut running, mut head, facts, took } = answering;
    // If no response comes, what is known about the call is added after the upstream's own bytes.
    remove_where(&mut head.headers, |name| name == "content-length");
    let (sender, body) = channel(None);
    let client = StreamClient::new(&running, sender, None);
    let recorded = Recorded::Streaming { head, body: ReplyBody::channel(body), took };
    let exchange = running.fork(recorded);
    let silence = exchange.label.silence(&exchange.context.timeouts);
    let stream = ToolStream::new(&exchange.context, caller, source, silence);
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
    silence: Silence,
    /// How many notes of the call's progress had come elsewhere, when last looked at.
    notes: u64,
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
    fn new(
        context: &ProxyContext,
        caller: Arc<Caller>,
        source: UpstreamBody,
        silence: Silence,
    ) -> Self {
        let sessions = &context.calls.mcp.sessions;
        let expected = caller.session().map(|session| sessions.expect(session, caller.id()));
        let cutter = Cutter::default();
        let notes = silence.notes();
        Self { caller, source, cutter, resumable: false, long: None, expected, silence, notes }
    }

    /// Whether notes of the call's progress came elsewhere, so that its silence begins anew.
    fn is_alive(&mut self) -> bool {
        let before = std::mem::replace(&mut self.notes, self.silence.notes());
        before != self.notes
    }

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
            let outcome = facts.judged(&running.label, outcome, Some(&message));
            let finish = facts.responded(&running.state.call, outcome, message);
            end_with(running, finish, event, stream, client).await;
        }
        StreamEvent::Long(last, LongResponse { sha256, size }) => {
            let body = AnswerBody::Dropped { sha256, size };
            let outcome = facts.judged(&running.label, ToolOutcome::TOO_LONG, None);
            let finish = Finish {
                answer: Some(facts.stored(body, None)),
                ..facts.responded(&running.state.call, outcome, Bytes::new())
            };
            end_with(running, finish, last, stream, client).await;
        }
        StreamEvent::Elsewhere(response) => {
            if record_elsewhere(running, &facts, &stream.caller, response).await {
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
    stream: ToolStream,
    mut client: StreamClient,
) {
    if !client.is_there() {
        stream.caller.leave();
    }
    let (exchange, settled) = running.settle(finish).await;
    match settled {
        Ok(_) => {
            client.send(held).await;
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
    let outcome = facts.judged(&running.label, outcome, Some(&response.message));
    let finish = facts.responded(&running.state.call, outcome, response.message);
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
    if broke.as_ref().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
        return end_silent(running, facts, stream, client, broke).await;
    }
    let ToolStream { caller, cutter, resumable, expected, source, .. } = stream;
    drop(source);
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
    let (finish, error) = without_response(&running.state.call, &facts, broke.as_ref());
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
    let silence = running.label.silence(&context.timeouts);
    let response = tokio::select! {
        response = patiently(&silence, &mut expected) => response,
        () = context.lifecycle.draining.cancelled() => None,
    };
    if let Some(response) = response {
        record_elsewhere(running, &facts, caller, response).await;
        return;
    }
    let (finish, _) = without_response(&running.state.call, &facts, None);
    let elsewhere = LateStream { facts, source: ResponseSource::Elsewhere(expected) };
    let late = LateAnswer::to(&running, LateSource::Stream(Box::new(elsewhere)));
    let _ = running.settle(finish).await;
    LateAnswer::follow(late);
}

/// Waits for the response elsewhere, as long as something is heard of the call.
async fn patiently(silence: &Silence, expected: &mut ExpectedResponse) -> Option<SessionResponse> {
    let mut notes = silence.notes();
    loop {
        if let Ok(response) = timeout(silence.limit, expected.response()).await {
            return response;
        }
        if std::mem::replace(&mut notes, silence.notes()) == notes {
            return None;
        }
    }
}

/// Gives up the caller of a stream that is silent, and goes on to read it.
async fn end_silent(
    running: Exchange<Running>,
    facts: AnswerFacts,
    stream: ToolStream,
    client: StreamClient,
    broke: Option<io::Error>,
) {
    let (finish, error) = without_response(&running.state.call, &facts, broke.as_ref());
    let here = LateStream { facts, source: ResponseSource::Here(stream) };
    let late = LateAnswer::to(&running, LateSource::Stream(Box::new(here)));
    let (exchange, settled) = running.settle(finish).await;
    match settled {
        Ok(settled) => end_with_problem(&exchange, &error, Some(&settled), client).await,
        Err(error) => return end_with_problem(&exchange, &error, None, client).await,
    }
    LateAnswer::follow(late);
}

/// A stream that may still bring the response, although its caller was given up.
pub(crate) struct LateStream {
    facts: AnswerFacts,
    source: ResponseSource,
}

enum ResponseSource {
    /// The stream of the call.
    Here(ToolStream),
    /// Another stream of its session.
    Elsewhere(ExpectedResponse),
}

impl LateStream {
    /// A stream of which nothing was read.
    pub(crate) fn begun(
        context: &ProxyContext,
        caller: Arc<Caller>,
        facts: AnswerFacts,
        source: UpstreamBody,
    ) -> Self {
        let silence = Silence { limit: context.timeouts.late, caller: None };
        let stream = ToolStream::new(context, caller, source, silence);
        Self { facts, source: ResponseSource::Here(stream) }
    }

    /// The outcome by the response. `None`: none came, or it is too large to be kept.
    pub(crate) async fn finish(
        self,
        label: &CallLabel,
        call: &SentCall,
        limit: Duration,
    ) -> Option<LateFinish> {
        let Self { facts, source } = self;
        let (caller, response) = match source {
            ResponseSource::Here(mut stream) => {
                stream.source.set_limit(limit);
                match stream.response(&mut StreamClient::none()).await {
                    StreamEvent::Here { message, outcome, .. } => {
                        let outcome = facts.judged(label, outcome, Some(&message));
                        let finish = facts.responded(call, outcome, message);
                        return Some(LateFinish { finish, recorded: None });
                    }
                    StreamEvent::Elsewhere(response) => (stream.caller, response),
                    StreamEvent::Long(..) | StreamEvent::Missing(_) => return None,
                }
            }
            ResponseSource::Elsewhere(mut expected) => {
                (label.mcp.clone()?, expected.response().await?)
            }
        };
        let outcome = caller.outcome(&response.message)?;
        let outcome = facts.judged(label, outcome, Some(&response.message));
        let finish = facts.responded(call, outcome, response.message);
        Some(LateFinish { finish, recorded: Some(response.recorded) })
    }
}

fn without_response(
    call: &SentCall,
    facts: &AnswerFacts,
    broke: Option<&io::Error>,
) -> (Finish, Error) {
    let none = AnswerBody::Kept(Bytes::new());
    if let Some(error) = broke {
        return facts.truncated(call, none, error);
    }
    let detail = "the stream ended without a response to the call".to_owned();
    let error = io::Error::new(io::ErrorKind::UnexpectedEof, detail.clone());
    let (finish, _) = facts.truncated(call, none, &error);
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
