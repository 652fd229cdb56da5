//! Answers to tool calls of MCP: complete is not the end of the stream, but the response to the
//! call. The event with it is held until the outcome is committed; earlier and later ones flow.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::http::response::Parts;
use store::call::{AnswerBody, Finish, Settled};
use store::state::Knowledge;
use tokio::time::timeout;

use super::flow::Client;
use super::{Facts, Running, truncated};
use crate::Shared;
use crate::body::{Body, FromUpstream, fed};
use crate::error::{Error, Sent};
use crate::forms::media_type;
use crate::headers::remove_where;
use crate::mcp::long::{Long, LongResponse};
use crate::mcp::sessions::{Delivery, Expected};
use crate::mcp::sse::{self, Cutter, Piece};
use crate::mcp::{Asker, Verdict};
use crate::respond::{self, Label, Reply};

/// Is the answer a stream of events that may hold the response.
pub(super) fn may_hold_response(head: &Parts) -> bool {
    head.status.is_success()
        && !head.headers.contains_key(CONTENT_ENCODING)
        && media_type(&head.headers).is_some_and(|media| media.essence_str() == "text/event-stream")
}

/// The finish of a call whose response came. It is kept as one JSON message, whatever it came in.
pub(super) fn finished(
    running: &Running,
    facts: &Facts,
    verdict: Verdict,
    message: Bytes,
) -> Finish {
    let Verdict { outcome, tool_error, why } = verdict;
    let mut headers = facts.headers.clone();
    remove_where(&mut headers, |name| {
        name.starts_with("mcp-") || ["content-encoding", "content-length"].contains(&name)
    });
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let kept = Facts {
        status: facts.status,
        headers,
        reason: facts.reason.clone(),
        received_at: facts.received_at,
        unverified: facts.unverified,
        keeps: facts.keeps,
    };
    Finish {
        outcome,
        tool_error,
        answer: Some(kept.answer(AnswerBody::Kept(message), None)),
        error: (outcome != Knowledge::Executed || tool_error).then(|| why.to_owned()),
        problem: None,
        sent_at: Some(running.sent_at),
        first_byte_at: Some(facts.received_at),
        last_event: format!("answered {}: {why}", facts.status),
    }
}

/// Remembers a tool's error whose caller has left.
pub(super) fn undelivered(shared: &Shared, label: &Label, settled: &Arc<Settled>) {
    if let Some(asker) = label.mcp.as_ref().filter(|asker| asker.has_left())
        && let Some(which) = asker.which()
    {
        shared.mcp.undelivered.remember(which, settled);
    }
}

/// Passes a stream on as it comes, from a task of its own: the client may leave.
pub(super) fn flow(
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
    let reply = respond::flowing(&running.shared, head, Body::fed(body), &running.label, took);
    let client = Client::of(&running, feeder, None);
    let tracker = running.shared.exchanges.clone();
    let stream = Stream {
        expected: asker
            .session()
            .map(|session| running.shared.mcp.sessions.expect(session, asker.id())),
        asker,
        source,
        cutter: Cutter::new(),
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
            while let Some(piece) = self.cutter.next() {
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
            let finish = finished(&running, &facts, verdict, message);
            end_with(running, finish, event, stream, client).await;
        }
        Came::Long(end, LongResponse { sha256, size }) => {
            let body = AnswerBody::Dropped { sha256, size };
            let finish = Finish {
                answer: Some(facts.answer(body, None)),
                ..finished(&running, &facts, Verdict::TOO_LONG, Bytes::new())
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
    let (shared, label) = (Arc::clone(&running.shared), running.label.clone());
    match running.settle(finish).await {
        Ok(_) => {
            client.give(held).await;
            stream.rest(client).await;
        }
        Err(error) => tell(&shared, &label, &error, None, client).await,
    }
}

/// Records a response that came on another stream of the session; true where it is on disk.
async fn elsewhere(running: Running, facts: &Facts, asker: &Asker, delivery: Delivery) -> bool {
    let Some(verdict) = asker.verdict(&delivery.message) else { return false };
    let finish = finished(&running, facts, verdict, delivery.message);
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
        let shared = Arc::clone(&running.shared);
        let delivery = tokio::select! {
            delivery = timeout(shared.config.timeouts.body_idle, expected.came()) => delivery,
            () = shared.draining.cancelled() => Ok(None),
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
    let (shared, label) = (Arc::clone(&running.shared), running.label.clone());
    let (finish, told) = without_response(&running, &facts, broke.as_ref());
    match running.settle(finish).await {
        Ok(settled) => tell(&shared, &label, &told, Some(&settled), client).await,
        Err(error) => tell(&shared, &label, &error, None, client).await,
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
    shared: &Shared,
    label: &Label,
    error: &Error,
    settled: Option<&Settled>,
    mut client: Client,
) {
    client.give(respond::told_event(shared, error, settled, label)).await;
    client.end(None).await;
}
