//! Answers that flow: streams, and what is too large to be held. Their end waits for the commit.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::http::response::Parts;
use tokio::time::timeout;

use crate::body::stream::{Body, Feeder, fed};
use crate::steps::record::recorder::Recorder;
use crate::steps::record::running::{Facts, Running, finished, truncated};
use crate::steps::reply::Reply;
use crate::steps::respond::live;
use crate::upstream::response_body::FromUpstream;

/// Passes an answer on as it comes, from a task of its own: the client may leave.
#[expect(clippy::too_many_arguments, reason = "the parts of one answer, each used once")]
pub(super) fn flow(
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
    let reply = live::flowing(&running.context, head, Body::fed(body), &running.label, took);
    let client = Client::of(&running, feeder, length);
    let tracker = running.context.exchanges.clone();
    tracker.spawn(pump(running, facts, recorder, source, next, client));
    reply
}

/// The client of an answer that flows, as long as it is there.
#[derive(Debug)]
pub(crate) struct Client {
    feeder: Option<Feeder>,
    /// How many bytes of the body it has not got, where its length is known.
    left: Option<u64>,
    /// The last byte of a body of known length: a client takes it for the end.
    last: Bytes,
    stall: Duration,
    /// It has hung up; one that only takes nothing for too long is let go of, and has not.
    gone: bool,
    /// Its leaving ends the call.
    cancels: bool,
}

impl Client {
    /// The client of a call. `length`: of the answer's body, where it is known.
    pub(crate) fn of(running: &Running, feeder: Feeder, length: Option<u64>) -> Self {
        Self {
            feeder: Some(feeder),
            left: length,
            last: Bytes::new(),
            gone: false,
            stall: running.context.config.timeouts.body_stall,
            cancels: running.label.rule.as_ref().is_some_and(|rule| rule.given.propagate_cancel),
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.feeder.as_ref().is_some_and(|feeder| !feeder.is_gone())
    }

    pub(crate) async fn give(&mut self, mut data: Bytes) {
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
            self.gone = taken.is_ok();
            self.feeder = None;
        }
    }

    /// Ends, with what is to be told of it, when the client has left, where that ends the call.
    pub(crate) async fn cancelled(&self) -> io::Error {
        match &self.feeder {
            Some(feeder) if self.cancels => feeder.closed().await,
            None if self.cancels && self.gone => {}
            _ => std::future::pending().await,
        }
        io::Error::other("the client left, which cancels the call")
    }

    pub(crate) async fn end(self, trailers: Option<HeaderMap>) {
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
    loop {
        let frame = tokio::select! {
            biased;
            frame = source.frame() => frame,
            left = client.cancelled() => {
                broke = Some(left);
                break;
            }
        };
        let Some(frame) = frame else { break };
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
    drop(source);
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
    let mut chunks = recorder.backlog();
    while let Some(chunk) = chunks.next().await {
        client.give(chunk?).await;
    }
    Ok(())
}
