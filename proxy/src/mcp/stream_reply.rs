//! Answers to tool calls of MCP: complete is not the end of the stream, but the response to the
//! call. The event with it is held until the outcome is committed; earlier and later ones flow.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::http::response::Parts;
use proxy_core::error::{Error, Sent};
use proxy_core::http::hop_by_hop::remove_where;
use proxy_core::mcp::caller::Asker;
use proxy_core::mcp::long_event::{Long, LongResponse};
use proxy_core::mcp::reply::Verdict;
use proxy_core::mcp::sse::{self, Cutter, Piece};
use store::call::{AnswerBody, Finish, Settled};
use tokio::time::timeout;

use crate::body::stream::{Body, fed};
use crate::context::ProxyContext;
use crate::mcp::sessions::{Delivery, Expected};
use crate::steps::label::Label;
use crate::steps::record::running::{Facts, Running, response_finished, truncated};
use crate::steps::record::stream::Client;
use crate::steps::reply::Reply;
use crate::steps::respond::{live, problem};
use crate::upstream::response_body::FromUpstream;

/// Passes a stream on as it comes, from a task of its own: the client may leave.
pub(crate) fn flow(
    running: Running,
    asker: Arc<Asker>,
    mut head: Parts,
    facts: Facts,
    source: FromUpstream,
    took: Duration,
) -> Reply {
    // Where no response comes, what is known of the call is told behind the upstream's own bytes.
    remove_where(&mut head.headers, |name| name == "content-length");
    let (feeder, body) = fed(None);
    let reply = live::flowing(&running.context, head, Body::fed(body), &running.label, took);
    let client = Client::of(&running, feeder, None);
    let tracker = running.context.exchanges.clone();
    let stream = Stream {
        expected: asker
            .session()
            .map(|session| running.context.mcp.sessions.expect(session, asker.id())),
        asker,
        source,
        cutter: Cutter::default(),
        resumable: false,
        long: None,
    };
    tracker.spawn(pump(running, facts, stream, client));
    reply
}

/// The stream of one call.
struct Stream {
    asker: Arc<Asker>,
    source: FromUpstream,
    cutter: Cutter,
    /// Its events have ids: it may go on elsewhere.
    resumable: bool,
    /// An event that flows.
    long: Option<Long>,
    expected: Option<Expected>,
}

/// How the wait for the response ended.
enum Came {
    /// In this stream: the event, the message in it, and what it says.
    Here(Bytes, Bytes, Verdict),
    /// In this stream, at greater length than is held: the last part of the event.
    Long(Bytes, LongResponse),
    /// On another stream of the session.
    Elsewhere(Delivery),
    /// The stream ended without it, properly or not.
    Not(Option<io::Error>),
}

impl Stream {
    async fn response(&mut self, client: &mut Client) -> Came {
        loop {
            while let Some(piece) = self.cutter.next_piece() {
                match piece {
                    Piece::Part(part) => {
                        self.long.get_or_insert_default().push(&part);
                        client.give(part).await;
                    }
                    Piece::Last(part) => {
                        let mut long = self.long.take().unwrap_or_default();
                        long.push(&part);
                        match long.finish() {
                            Some(response) => return Came::Long(part, response),
                            None => client.give(part).await,
                        }
                    }
                    Piece::Event(event) => {
                        let said = sse::event(&event);
                        self.resumable |= said.resumable;
                        match self.asker.verdict(&said.data) {
                            Some(verdict) => return Came::Here(event, said.data.into(), verdict),
                            None => client.give(event).await,
                        }
                    }
                }
            }
            let frame = tokio::select! {
                biased;
                frame = self.source.frame() => frame,
                left = client.cancelled() => return Came::Not(Some(left)),
                Some(delivery) = came(self.expected.as_mut()) => return Came::Elsewhere(delivery),
            };
            match frame.map(|frame| frame.map(hyper::body::Frame::into_data)) {
                Some(Ok(Ok(data))) => self.cutter.push(&data),
                Some(Ok(Err(_))) => {}
                Some(Err(error)) => return Came::Not(Some(error)),
                None => return Came::Not(None),
            }
        }
    }

    /// Passes on what comes behind the response, as long as somebody reads it.
    async fn rest(mut self, mut client: Client) {
        client.give(self.cutter.rest()).await;
        while client.is_there() {
            match self.source.frame().await.map(|frame| frame.map(hyper::body::Frame::into_data)) {
                Some(Ok(Ok(data))) => client.give(data).await,
                Some(Ok(Err(_))) => {}
                Some(Err(_)) => return,
                None => break,
            }
        }
        client.end(None).await;
    }
}

async fn came(expected: Option<&mut Expected>) -> Option<Delivery> {
    match expected {
        Some(expected) => expected.came().await,
        None => std::future::pending().await,
    }
}

async fn pump(running: Running, facts: Facts, mut stream: Stream, mut client: Client) {
    match stream.response(&mut client).await {
        Came::Here(event, message, verdict) => {
            let finish = response_finished(&running, &facts, verdict, message);
            end_with(running, finish, event, stream, client).await;
        }
        Came::Long(end, LongResponse { sha256, size }) => {
            let body = AnswerBody::Dropped { sha256, size };
            let finish = Finish {
                answer: Some(facts.answer(body, None)),
                ..response_finished(&running, &facts, Verdict::TOO_LONG, Bytes::new())
            };
            end_with(running, finish, end, stream, client).await;
        }
        Came::Elsewhere(delivery) => {
            if elsewhere(running, &facts, &stream.asker, delivery).await {
                stream.rest(client).await;
            }
        }
        Came::Not(broke) => ended(running, facts, stream, client, broke).await,
    }
}

/// Records a response, then gives the client what was held of it, and what comes behind it.
async fn end_with(
    running: Running,
    finish: Finish,
    held: Bytes,
    stream: Stream,
    mut client: Client,
) {
    if !client.is_there() {
        stream.asker.leaves();
    }
    let (context, label) = (Arc::clone(&running.context), running.label.clone());
    match running.settle(finish).await {
        Ok(_) => {
            client.give(held).await;
            stream.rest(client).await;
        }
        Err(error) => tell(&context, &label, &error, None, client).await,
    }
}

/// Records a response that came on another stream of the session; true where it is on disk.
async fn elsewhere(running: Running, facts: &Facts, asker: &Asker, delivery: Delivery) -> bool {
    let Some(verdict) = asker.verdict(&delivery.message) else { return false };
    let finish = response_finished(&running, facts, verdict, delivery.message);
    let settled = running.settle(finish).await.is_ok();
    if settled {
        let _ = delivery.recorded.send(());
    }
    settled
}

/// The stream ended without the response. Where its session may have it sent on another stream, that
/// is waited for; else the outcome is unknown, and the caller is told so in the place of a response.
async fn ended(
    running: Running,
    facts: Facts,
    stream: Stream,
    mut client: Client,
    broke: Option<io::Error>,
) {
    let Stream { asker, cutter, resumable, expected, source, .. } = stream;
    drop(source);
    if let Some(mut expected) = expected.filter(|_| resumable) {
        client.give(cutter.rest()).await;
        match broke {
            None => client.end(None).await,
            // Dropped, so that the client sees that it broke off, and takes the stream up again.
            Some(_) => drop(client),
        }
        let context = Arc::clone(&running.context);
        let delivery = tokio::select! {
            delivery = timeout(context.config.timeouts.body_idle, expected.came()) => delivery,
            () = context.draining.cancelled() => Ok(None),
        };
        if let Ok(Some(delivery)) = delivery {
            elsewhere(running, &facts, &asker, delivery).await;
            return;
        }
        let (finish, _) = without_response(&running, &facts, None);
        let _ = running.settle(finish).await;
        return;
    }
    // What came of an event that has not ended is left out: what is told would be read as more of it.
    let (context, label) = (Arc::clone(&running.context), running.label.clone());
    let (finish, told) = without_response(&running, &facts, broke.as_ref());
    match running.settle(finish).await {
        Ok(settled) => tell(&context, &label, &told, Some(&settled), client).await,
        Err(error) => tell(&context, &label, &error, None, client).await,
    }
}

fn without_response(
    running: &Running,
    facts: &Facts,
    broke: Option<&io::Error>,
) -> (Finish, Error) {
    let none = AnswerBody::Kept(Bytes::new());
    if let Some(error) = broke {
        truncated(running, facts, none, error)
    } else {
        let detail = "the stream ended without a response to the call".to_owned();
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, detail.clone());
        let (finish, _) = truncated(running, facts, none, &error);
        let told = Error::Upstream { detail: detail.clone(), sent: Sent::Maybe };
        (Finish { error: Some(detail.clone()), last_event: detail, ..finish }, told)
    }
}

/// Ends a stream with a result that says what is known of the call.
async fn tell(
    context: &ProxyContext,
    label: &Label,
    error: &Error,
    settled: Option<&Settled>,
    mut client: Client,
) {
    client.give(problem::told_event(context, error, settled, label)).await;
    client.end(None).await;
}
