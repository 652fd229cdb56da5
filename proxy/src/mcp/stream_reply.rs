//! Streamed answers to tool calls of MCP. Such an answer is complete with the response to the call,
//! not with the end of the stream. The event with the response is held until the outcome is
//! committed. Earlier and later events flow.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use proxy_core::error::Error;
use proxy_core::http::hop_by_hop::remove_where;
use proxy_core::mcp::caller::Caller;
use proxy_core::mcp::long_event::LongResponse;
use proxy_core::mcp::reply::ToolOutcome;
use store::call::{AnswerBody, Finish, Sent, Settled};
use tokio::time::timeout;

use super::late_stream::{LateStream, ResponseSource};
use super::sessions::{ExpectedResponse, SessionResponse};
use super::tool_stream::{StreamEvent, ToolStream};
use crate::body::channel::channel;
use crate::body::reply::ReplyBody;
use crate::front::delivery::{PendingDelivery, Proof};
use crate::steps::exchange::Exchange;
use crate::steps::record::client::StreamClient;
use crate::steps::record::facts::{AnswerFacts, AnswerInProgress};
use crate::steps::record::late::{LateAnswer, LateSource};
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
    // The response arrives before the stream ends.
    let delivery = running.delivery.take();
    // If no response comes, what is known about the call is added after the upstream's own bytes.
    remove_where(&mut head.headers, |name| name == "content-length");
    let (sender, body) = channel(None);
    let client = StreamClient::new(&running, sender, None);
    let recorded = Recorded::Streaming { head, body: ReplyBody::channel(body), took };
    let exchange = running.fork(recorded);
    let silence = exchange.label.silence(&exchange.context.timeouts);
    let stream = ToolStream::new(&exchange.context, caller, source, silence, delivery);
    exchange.context.lifecycle.calls.spawn(pump(running, facts, stream, client));
    exchange
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

/// Waits for the response elsewhere, as long as the call shows progress.
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
    let here = LateStream { facts, source: ResponseSource::Here(Box::new(stream)) };
    let late = LateAnswer::to(&running, LateSource::Stream(Box::new(here)));
    let (exchange, settled) = running.settle(finish).await;
    match settled {
        Ok(settled) => end_with_problem(&exchange, &error, Some(&settled), client).await,
        Err(error) => return end_with_problem(&exchange, &error, None, client).await,
    }
    LateAnswer::follow(late);
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
