//! `GET /events`: streams changes as server-sent events.
//!
//! A message is an event of the log without its detail. Its id is the number of the event, so that
//! a reader that lost the stream can resume with `Last-Event-ID`. A reader that is far behind, or
//! slow while much happens, gets one message for many changes: memory and work are bounded.

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
use store::model::{Event, EventKind, Timestamp};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::error::{Code, Error};
use super::response::{ResponseBody, respond};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The most streams at once.
const MAX_STREAMS: usize = 64;
/// The most changes that are sent one by one; more become one message.
const MAX_SINGLE_CHANGES: i64 = 500;
/// The pause after each write, which groups changes.
const WRITE_PAUSE: Duration = Duration::from_millis(100);
/// How often a silent stream sends a comment, to stay open.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One change: the ids of a call and nothing else of it.
#[derive(Debug, Serialize)]
struct ChangeMessage {
    seq: i64,
    at: Timestamp,
    kind: EventKind,
    execution_id: Option<Uuid>,
    session_id: Option<Uuid>,
    attempt: Option<u32>,
}

/// Many changes, as one message.
#[derive(Debug, Serialize)]
struct ManyMessage {
    from: i64,
    to: i64,
}

/// The kind of a message.
#[derive(Debug, Clone, Copy)]
enum MessageKind {
    /// The start of the stream.
    Hello,
    Change,
    /// As [`ManyMessage`].
    Many,
}

impl MessageKind {
    /// The `event` field of a server-sent event.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Change => "change",
            Self::Many => "many",
        }
    }
}

/// Opens streams of changes.
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

    /// Opens a stream, which ends when its reader leaves or the engine stops.
    pub(crate) fn open(&self, headers: &HeaderMap) -> Result<Response<ResponseBody>, Error> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| {
            Error::new(Code::Busy, "too many event streams: close one, or try again later")
        })?;
        let after = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse().ok());
        let (sender, body) = Channel::<Bytes, Infallible>::new(1);
        let (store, stop) = (self.store.clone(), self.stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = write_changes(&store, after, sender) => {}
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

/// Writes changes until the reader leaves.
async fn write_changes(store: &Store, after: Option<i64>, mut sender: Sender<Bytes>) -> Option<()> {
    let mut newest = store.newest_event();
    let head = store.health().events as i64;
    // A number that does not exist yet is from a different store: its reader knows nothing about
    // this one.
    let mut sent = after.filter(|after| *after <= head).unwrap_or(head);
    let first = if after.is_some_and(|after| after > head) {
        MessageKind::Many
    } else {
        MessageKind::Hello
    };
    let hello = message(sent, first, &ManyMessage { from: sent, to: sent });
    sender.send_data(Bytes::from(hello)).await.ok()?;
    loop {
        let head = *newest.borrow_and_update();
        if head > sent {
            let text = changes(store, sent, head).await?;
            sent = head;
            sender.send_data(Bytes::from(text)).await.ok()?;
            tokio::time::sleep(WRITE_PAUSE).await;
            continue;
        }
        tokio::select! {
            changed = newest.changed() => changed.ok()?,
            () = tokio::time::sleep(HEARTBEAT) => {
                sender.send_data(Bytes::from_static(b": still here\n\n")).await.ok()?;
            }
        }
    }
}

/// The messages for the events after `after`, up to `to`.
async fn changes(store: &Store, after: i64, to: i64) -> Option<String> {
    if to - after > MAX_SINGLE_CHANGES {
        return Some(message(to, MessageKind::Many, &ManyMessage { from: after, to }));
    }
    let reader = store.reader().clone();
    let read = move || reader.events(None, None, Some(after), MAX_SINGLE_CHANGES as usize);
    let events = tokio::task::spawn_blocking(read).await.ok()?;
    let events =
        events.inspect_err(|error| tracing::warn!(%error, "changes cannot be sent")).ok()?;
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
