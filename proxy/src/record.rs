//! Step 5: consume the lease with the outcome, before the agent can act on the answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::Body as _;
use hyper::header::{CONTENT_TYPE, TRAILER, TRANSFER_ENCODING};
use hyper::http::response::Parts;
use sha2::{Digest as _, Sha256};
use store::call::{Answer, AnswerBody, Finish, Settled};
use store::model::{EffectClass, Timestamp};
use store::state::Knowledge;
use store::{Clock as _, Lease, MAX_KEPT_BODY, SystemClock};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::Shared;
use crate::body::{Body, Feeder, FromUpstream, Timed, fed};
use crate::claim::Prepared;
use crate::error::{Error, Sent};
use crate::failpoint;
use crate::forward::Reached;
use crate::headers;
use crate::request::Target;
use crate::respond::{self, Label, Reply};
use crate::spool::{Chunks, Spool};

/// A claimed call whose outcome is not recorded yet.
#[derive(Debug)]
pub(crate) struct Running {
    shared: Arc<Shared>,
    lease: Lease,
    label: Label,
    target: Target,
    class: EffectClass,
    sent_at: Timestamp,
    /// Among the guarded calls in flight, to the end of its answer.
    _place: OwnedSemaphorePermit,
}

impl Running {
    /// The call is about to be dispatched.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        lease: Lease,
        prepared: &Prepared,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let label = Label {
            key: prepared.label.key.clone(),
            execution_id: Some(lease.execution_id()),
            attempt: lease.attempt(),
        };
        Self {
            shared: Arc::clone(shared),
            lease,
            label,
            target: prepared.target.clone(),
            class: prepared.class,
            sent_at: SystemClock.now(),
            _place: place,
        }
    }

    /// Writes the outcome down. When it cannot be, what the tool did is known to nobody but the
    /// caller, who must not take it for recorded: it gets no answer of the tool.
    async fn settle(self, finish: Finish) -> Result<Arc<Settled>, Error> {
        failpoint::hit("before-commit");
        let execution_id = self.lease.execution_id();
        let settled = self.shared.config.store.finish(self.lease, finish).await;
        failpoint::hit("before-reply");
        settled.map_err(|error| {
            tracing::error!(%error, %execution_id, "outcome not recorded");
            Error::Upstream {
                detail: "the tool answered, but its answer could not be recorded".to_owned(),
                sent: Sent::Maybe,
            }
        })
    }
}

/// Records that no answer came, and tells the client so.
pub(crate) async fn failure(running: Running, error: Error) -> Reply {
    let (shared, label) = (Arc::clone(&running.shared), running.label.clone());
    let sent = error.sent();
    let finish = Finish {
        outcome: match sent {
            Sent::Never => Knowledge::NotExecuted,
            Sent::Maybe => Knowledge::Unknown,
        },
        tool_error: false,
        answer: None,
        error: Some(error.to_string()),
        problem: respond::as_stored(&error),
        sent_at: (sent == Sent::Maybe).then_some(running.sent_at),
        first_byte_at: None,
        last_event: error.to_string(),
    };
    match running.settle(finish).await {
        Ok(settled) => respond::unanswered(&shared, &error, &settled, &label),
        Err(error) => respond::problem(&shared, &error, Some(&label)),
    }
}

/// Records the upstream's answer and passes it on: whole where it is no stream, else as it comes,
/// with its end held until the outcome is committed.
pub(crate) async fn answer(running: Running, reached: Reached) -> Reply {
    let shared = Arc::clone(&running.shared);
    let received_at = SystemClock.now();
    let (mut head, incoming) = reached.response.into_parts();
    let length = incoming.size_hint().exact();
    let unverified = length.is_none() && !head.headers.contains_key(TRANSFER_ENCODING);
    let announced = head.headers.remove(TRAILER);
    headers::strip_response(&mut head.headers);
    let timed = Timed::new(incoming, shared.config.timeouts.body_idle);
    let mut source = FromUpstream::new(timed, reached.connection);
    let mut recorder = Recorder::new(&shared);
    let facts = Facts::new(&head, received_at, unverified);
    let end = if is_stream(&head.headers) {
        Held::Long(None)
    } else {
        hold(&mut recorder, &mut source).await
    };
    match end {
        Held::Whole(trailers) => {
            whole(running, head, facts, recorder, trailers, reached.took).await
        }
        Held::Broken(error) => broken(running, facts, recorder, &error).await,
        Held::Long(next) => {
            if let Some(announced) = announced {
                // hyper sends only the trailers that this field announces.
                head.headers.insert(TRAILER, announced);
            }
            flow(running, head, facts, length, recorder, source, next, reached.took)
        }
    }
}

/// What is kept of the head of an answer.
#[derive(Debug)]
struct Facts {
    status: u16,
    headers: HeaderMap,
    received_at: Timestamp,
    /// Nothing but the end of the connection tells that the body is whole.
    unverified: bool,
}

impl Facts {
    fn new(head: &Parts, received_at: Timestamp, unverified: bool) -> Self {
        Self {
            status: head.status.as_u16(),
            headers: head.headers.clone(),
            received_at,
            unverified,
        }
    }

    fn answer(&self, body: AnswerBody, trailers: Option<&HeaderMap>) -> Answer {
        let kept = respond::stored_fields(&self.headers);
        Answer {
            status: self.status,
            omitted_cookies: kept.len() < self.headers.len(),
            headers: kept,
            body,
            trailers: trailers.map(respond::stored_fields).unwrap_or_default(),
            received_at: self.received_at,
        }
    }
}

/// Streams in the sense of the contract; chunked coding alone makes none.
fn is_stream(headers: &HeaderMap) -> bool {
    const STREAMS: [&str; 7] = [
        "text/event-stream",
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonl",
        "application/json-seq",
        "multipart/x-mixed-replace",
    ];
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media = value.split(';').next().unwrap_or("").trim();
    STREAMS.iter().any(|stream| media.eq_ignore_ascii_case(stream))
}

/// Takes down a body as it comes: its bytes up to the store's limit, its digest and size always.
#[derive(Debug)]
struct Recorder {
    spool: Spool,
    keeping: bool,
    hash: Sha256,
    size: u64,
}

impl Recorder {
    fn new(shared: &Shared) -> Self {
        Self { spool: Spool::new(&shared.spool), keeping: true, hash: Sha256::new(), size: 0 }
    }

    /// After it stopped keeping, the spool has all bytes before `data` and none of it.
    async fn record(&mut self, data: &Bytes) {
        self.hash.update(data);
        self.size += data.len() as u64;
        if !self.keeping {
            return;
        }
        self.keeping = self.size <= MAX_KEPT_BODY as u64
            && match self.spool.push(data.clone()).await {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(%error, "cannot spool an answer; its digest is kept alone");
                    false
                }
            };
    }

    async fn finish(self) -> AnswerBody {
        let dropped = AnswerBody::Dropped { sha256: self.hash.finalize().into(), size: self.size };
        if !self.keeping {
            return dropped;
        }
        match self.spool.done().load().await {
            Ok(bytes) => AnswerBody::Kept(bytes),
            Err(error) => {
                tracing::warn!(%error, "cannot read a spooled answer; its digest is kept alone");
                dropped
            }
        }
    }
}

/// What became of a body that was to be held.
enum Held {
    Whole(Option<HeaderMap>),
    Broken(io::Error),
    /// It cannot be held to its end; this frame is not in the spool any more.
    Long(Option<Bytes>),
}

async fn hold(recorder: &mut Recorder, source: &mut FromUpstream) -> Held {
    let mut trailers = None;
    while let Some(frame) = source.frame().await {
        match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => {
                recorder.record(&data).await;
                if !recorder.keeping {
                    return Held::Long(Some(data));
                }
            }
            Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
            Err(error) => return Held::Broken(error),
        }
    }
    Held::Whole(trailers)
}

/// The finish of a call whose answer came whole.
fn finished(
    running: &Running,
    facts: &Facts,
    body: AnswerBody,
    trailers: Option<&HeaderMap>,
) -> Finish {
    let bytes = match &body {
        AnswerBody::Kept(bytes) => Some(&bytes[..]),
        AnswerBody::Dropped { .. } => None,
    };
    let policy = &running.shared.policy;
    let (outcome, why) =
        policy.outcome(&running.target, facts.status, &facts.headers, bytes, running.class);
    let unverified = if facts.unverified { "; the end is unverified" } else { "" };
    Finish {
        outcome,
        tool_error: false,
        error: (outcome != Knowledge::Executed).then(|| format!("{}: {why}", facts.status)),
        answer: Some(facts.answer(body, trailers)),
        problem: None,
        sent_at: Some(running.sent_at),
        first_byte_at: Some(facts.received_at),
        last_event: format!("answered {}: {why}{unverified}", facts.status),
    }
}

async fn whole(
    running: Running,
    head: Parts,
    facts: Facts,
    recorder: Recorder,
    trailers: Option<HeaderMap>,
    took: Duration,
) -> Reply {
    let (shared, label) = (Arc::clone(&running.shared), running.label.clone());
    let body = recorder.finish().await;
    let AnswerBody::Kept(bytes) = &body else {
        let lost = io::Error::other("the spooled answer could not be read back");
        return settle_broken(running, &facts, body, &lost).await;
    };
    let bytes = bytes.clone();
    let finish = finished(&running, &facts, body, trailers.as_ref());
    match running.settle(finish).await {
        Ok(settled) => respond::answered(&shared, head, bytes, trailers, &settled, &label, took),
        Err(error) => respond::problem(&shared, &error, Some(&label)),
    }
}

/// The finish of a call whose answer broke off: it may have run; what came is kept.
fn truncated(
    running: &Running,
    facts: &Facts,
    body: AnswerBody,
    error: &io::Error,
) -> (Finish, Error) {
    let detail = format!("the answer {} broke off: {error}", facts.status);
    let told = match error.kind() {
        io::ErrorKind::TimedOut => {
            Error::UpstreamTimeout { detail: detail.clone(), sent: Sent::Maybe }
        }
        _ => Error::Upstream { detail: detail.clone(), sent: Sent::Maybe },
    };
    let finish = Finish {
        outcome: Knowledge::Unknown,
        tool_error: false,
        answer: Some(facts.answer(body, None)),
        error: Some(detail.clone()),
        problem: respond::as_stored(&told),
        sent_at: Some(running.sent_at),
        first_byte_at: Some(facts.received_at),
        last_event: detail,
    };
    (finish, told)
}

async fn broken(running: Running, facts: Facts, recorder: Recorder, error: &io::Error) -> Reply {
    let body = recorder.finish().await;
    settle_broken(running, &facts, body, error).await
}

async fn settle_broken(
    running: Running,
    facts: &Facts,
    body: AnswerBody,
    error: &io::Error,
) -> Reply {
    let (shared, label) = (Arc::clone(&running.shared), running.label.clone());
    let (finish, told) = truncated(&running, facts, body, error);
    match running.settle(finish).await {
        Ok(settled) => respond::unanswered(&shared, &told, &settled, &label),
        Err(error) => respond::problem(&shared, &error, Some(&label)),
    }
}

/// Passes an answer on as it comes, from a task of its own: the client may leave.
#[expect(clippy::too_many_arguments, reason = "the parts of one answer, each used once")]
fn flow(
    running: Running,
    head: Parts,
    facts: Facts,
    length: Option<u64>,
    recorder: Recorder,
    source: FromUpstream,
    next: Option<Bytes>,
    took: Duration,
) -> Reply {
    let (feeder, body) = fed(length);
    let reply = respond::flowing(&running.shared, head, Body::fed(body), &running.label, took);
    let client = Client {
        feeder: Some(feeder),
        left: length,
        last: Bytes::new(),
        stall: running.shared.config.timeouts.body_stall,
    };
    let tracker = running.shared.exchanges.clone();
    tracker.spawn(pump(running, facts, recorder, source, next, client));
    reply
}

/// The client of an answer that flows, as long as it is there.
#[derive(Debug)]
struct Client {
    feeder: Option<Feeder>,
    /// How many bytes of the body it has not got, where its length is known.
    left: Option<u64>,
    /// The last byte of a body of known length: a client takes it for the end.
    last: Bytes,
    stall: Duration,
}

impl Client {
    async fn give(&mut self, mut data: Bytes) {
        let Some(feeder) = &self.feeder else { return };
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(data.len() as u64);
            if *left == 0 && !data.is_empty() {
                self.last = data.split_off(data.len() - 1);
            }
        }
        if data.is_empty() {
            return;
        }
        let taken = timeout(self.stall, feeder.data(data)).await;
        if !matches!(taken, Ok(Ok(()))) {
            self.feeder = None;
        }
    }

    async fn end(self, trailers: Option<HeaderMap>) {
        let Some(feeder) = self.feeder else { return };
        let stall = self.stall;
        let end = async move {
            if self.last.is_empty() || feeder.data(self.last).await.is_ok() {
                feeder.end(trailers).await;
            }
        };
        let _ = timeout(stall, end).await;
    }
}

async fn pump(
    running: Running,
    facts: Facts,
    mut recorder: Recorder,
    mut source: FromUpstream,
    next: Option<Bytes>,
    mut client: Client,
) {
    if let Some(next) = next {
        if let Err(error) = backlog(&mut recorder, &mut client).await {
            tracing::warn!(%error, "cannot read a spooled answer; the client's copy breaks off");
            client.feeder = None;
        }
        client.give(next).await;
    }
    let mut trailers = None;
    let mut broke = None;
    while let Some(frame) = source.frame().await {
        match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => {
                recorder.record(&data).await;
                client.give(data).await;
            }
            Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
            Err(error) => {
                broke = Some(error);
                break;
            }
        }
    }
    let body = recorder.finish().await;
    let finish = match &broke {
        None => finished(&running, &facts, body, trailers.as_ref()),
        Some(error) => truncated(&running, &facts, body, error).0,
    };
    // A client that is dropped instead of ended sees an answer that broke off.
    if running.settle(finish).await.is_ok() && broke.is_none() {
        client.end(trailers).await;
    }
}

/// Gives the client what was held so far.
async fn backlog(recorder: &mut Recorder, client: &mut Client) -> io::Result<()> {
    let empty = Spool::new(recorder.spool.area());
    let held = std::mem::replace(&mut recorder.spool, empty).done();
    let mut chunks = Chunks::new(held);
    while let Some(chunk) = chunks.next().await {
        client.give(chunk?).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn chunked_json_is_no_stream() {
        let stream = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            is_stream(&headers)
        };
        assert!(stream("Text/Event-Stream; charset=utf-8"));
        assert!(stream("application/x-ndjson"));
        assert!(!stream("application/json"));
        assert!(!is_stream(&HeaderMap::new()));
    }
}
