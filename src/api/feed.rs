//! `GET /events`: tells by server-sent events what changes, as it changes.
//!
//! A message is an event of the log without its detail; its id is the event's number, so that a
//! reader who lost the stream goes on by `Last-Event-ID`. Who is far behind, or slow while much
//! happens, is told that much changed instead of each change: memory and work are bounded.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use store::Store;
use store::model::{Event, Timestamp};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::error::{Code, Error};
use super::response::{ResponseBody, respond};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Streams at once.
const MAX_STREAMS: usize = 64;
/// More changes than these are told as one message.
const MAX_TOLD: i64 = 500;
/// The pause after each write: what changes meanwhile is told together.
const PACE: Duration = Duration::from_millis(100);
/// A silent stream says this often that it is there.
const STILL_HERE: Duration = Duration::from_secs(15);

/// One change, as it is told: nothing of a call but its ids.
#[derive(Debug, Serialize)]
struct ChangeMessage {
    seq: i64,
    at: Timestamp,
    kind: String,
    execution_id: Option<Uuid>,
    session_id: Option<Uuid>,
    attempt: Option<u32>,
}

/// More changed than is told one by one.
#[derive(Debug, Serialize)]
struct ManyMessage {
    from: i64,
    to: i64,
}

/// What a message says.
#[derive(Debug, Clone, Copy)]
enum MessageKind {
    /// The stream begins here.
    Hello,
    Change,
    /// As [`ManyMessage`].
    Many,
}

impl MessageKind {
    /// As `event` of a server-sent event.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Change => "change",
            Self::Many => "many",
        }
    }
}

/// Where streams come from.
#[derive(Debug)]
pub(crate) struct Feed {
    store: Store,
    slots: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Feed {
    pub(crate) fn new(store: Store, stop: CancellationToken) -> Self {
        Self { store, slots: Arc::new(Semaphore::new(MAX_STREAMS)), stop }
    }

    /// A stream that ends when its reader leaves or the engine stops.
    pub(crate) fn open(&self, headers: &HeaderMap) -> Result<Response<ResponseBody>, Error> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| {
            Error::new(Code::Busy, "too many streams of events are open: close one, or ask later")
        })?;
        let after = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse().ok());
        let (sender, body) = Channel::<Bytes, Infallible>::new(1);
        let (store, stop) = (self.store.clone(), self.stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = tell(&store, after, sender) => {}
                () = stop.cancelled() => {}
            }
            drop(slot);
        });
        let mut response = respond(StatusCode::OK, "text/event-stream", Bytes::new());
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        *response.body_mut() = body.boxed_unsync();
        Ok(response)
    }
}

/// Writes until the reader leaves.
async fn tell(store: &Store, after: Option<i64>, mut sender: Sender<Bytes>) -> Option<()> {
    let mut newest = store.newest_event();
    let head = store.health().events as i64;
    // A number that is not there yet is another store's: its reader knows nothing of this one.
    let mut told = after.filter(|after| *after <= head).unwrap_or(head);
    let first = if after.is_some_and(|after| after > head) {
        MessageKind::Many
    } else {
        MessageKind::Hello
    };
    let hello = message(told, first, &ManyMessage { from: told, to: told });
    sender.send_data(Bytes::from(hello)).await.ok()?;
    loop {
        let head = *newest.borrow_and_update();
        if head > told {
            let text = changes(store, told, head).await?;
            told = head;
            sender.send_data(Bytes::from(text)).await.ok()?;
            tokio::time::sleep(PACE).await;
            continue;
        }
        tokio::select! {
            changed = newest.changed() => changed.ok()?,
            () = tokio::time::sleep(STILL_HERE) => {
                sender.send_data(Bytes::from_static(b": still here\n\n")).await.ok()?;
            }
        }
    }
}

/// The messages for the events behind `after` up to `to`.
async fn changes(store: &Store, after: i64, to: i64) -> Option<String> {
    if to - after > MAX_TOLD {
        return Some(message(to, MessageKind::Many, &ManyMessage { from: after, to }));
    }
    let reader = store.reader().clone();
    let read = move || reader.events(None, None, Some(after), MAX_TOLD as usize);
    let events = tokio::task::spawn_blocking(read).await.ok()?;
    let events =
        events.inspect_err(|error| tracing::warn!(%error, "changes cannot be told")).ok()?;
    let mut text = String::new();
    for event in events.into_iter().filter(|event| event.seq <= to) {
        let Event { seq, at, kind, execution_id, session_id, attempt, .. } = event;
        let change = ChangeMessage { seq, at, kind, execution_id, session_id, attempt };
        text.push_str(&message(seq, MessageKind::Change, &change));
    }
    Some(text)
}

fn message(id: i64, kind: MessageKind, data: &impl Serialize) -> String {
    let kind = kind.as_str();
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("id: {id}\nevent: {kind}\ndata: {data}\n\n")
}
