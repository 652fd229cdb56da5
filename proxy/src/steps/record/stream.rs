//! Answers that flow: streams, and bodies that are too large to be held. Their end waits for the
//! commit.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Frame;

use super::client::StreamClient;
use super::facts::{AnswerFacts, AnswerInProgress};
use super::late::{LateAnswer, LateBody, LateSource};
use super::recorder::{KeptBody, Recorder};
use crate::body::channel::channel;
use crate::body::reply::ReplyBody;
use crate::steps::exchange::Exchange;
use crate::steps::respond::fields::{forbid_retry, remove_retry};
use crate::steps::states::{Recorded, Running};
use crate::upstream::response_body::UpstreamBody;

/// The body of an answer that flows.
pub(super) struct FlowingBody {
    /// The length of the body, if it is known.
    pub(super) length: Option<u64>,
    pub(super) recorder: Recorder,
    pub(super) source: UpstreamBody,
    /// What came last, and is not in the recorder.
    pub(super) next: Option<Bytes>,
}

/// Passes an answer on as it comes, from a separate task: the client may leave.
pub(super) fn stream(answering: AnswerInProgress, flow: FlowingBody) -> Exchange<Recorded> {
    let AnswerInProgress { mut running, mut head, facts, took } = answering;
    if facts.leaves_doubt(&running.state.call) {
        forbid_retry(&mut head.headers);
    }
    let (sender, body) = channel(flow.length);
    let client = StreamClient::new(&running, sender, flow.length);
    let recorded = Recorded::Streaming { head, body: ReplyBody::channel(body), took };
    let exchange = running.fork(recorded);
    exchange.context.lifecycle.calls.spawn(pump(running, facts, flow, client));
    exchange
}

async fn pump(
    running: Exchange<Running>,
    facts: AnswerFacts,
    flow: FlowingBody,
    mut client: StreamClient,
) {
    let FlowingBody { mut recorder, mut source, next, .. } = flow;
    if let Some(next) = next {
        if let Err(error) = send_backlog(&mut recorder, &mut client).await {
            tracing::warn!(%error, "cannot read a spooled answer; the client's copy breaks off");
            client.give_up();
        }
        client.send(next).await;
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
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => {
                recorder.record(&data, Duration::ZERO).await;
                client.send(data).await;
            }
            Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
            Err(error) => {
                broke = Some(error);
                break;
            }
        }
    }
    if let Some(error) = broke.as_ref().filter(|error| error.kind() == io::ErrorKind::TimedOut) {
        let finish = facts.truncated(&running.state.call, recorder.digest_so_far(), error).0;
        let rest = LateSource::Body(Box::new(LateBody { facts, recorder, source }));
        let late = LateAnswer::to(&running, rest);
        drop(client);
        let _ = running.settle(finish).await;
        return LateAnswer::follow(late);
    }
    drop(source);
    let KeptBody { recorded, share, .. } = recorder.finish().await;
    let finish = match &broke {
        None => facts.whole(&running.label, &running.state.call, recorded, trailers.as_ref()),
        Some(error) => facts.truncated(&running.state.call, recorded, error).0,
    };
    let (_, settled) = running.settle(finish).await;
    drop(share);
    // A client that is dropped instead of ended sees an answer that broke off.
    if let Ok(settled) = settled
        && broke.is_none()
    {
        if settled.doubt.is_some() {
            trailers.iter_mut().for_each(remove_retry);
        }
        client.end(trailers).await;
    }
}

/// Sends the client what was held so far.
async fn send_backlog(recorder: &mut Recorder, client: &mut StreamClient) -> io::Result<()> {
    let mut chunks = recorder.backlog();
    while let Some(chunk) = chunks.next().await {
        client.send(chunk?).await;
    }
    Ok(())
}
