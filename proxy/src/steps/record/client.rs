//! The client of an answer that flows, as long as it is there.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use tokio::time::timeout;

use crate::body::channel::BodySender;
use crate::steps::exchange::Exchange;
use crate::steps::states::Running;

/// The client of an answer that flows.
#[derive(Debug)]
pub(crate) struct StreamClient {
    sender: Option<BodySender>,
    /// How many bytes of the body the client has not got, if the length is known.
    left: Option<u64>,
    /// The last byte of a body of known length. A client takes it for the end.
    last: Bytes,
    stall: Duration,
    /// The client has hung up. One that only takes nothing for too long is given up, and has not.
    gone: bool,
    /// A client that leaves ends the call.
    cancels: bool,
}

impl StreamClient {
    /// The client of a call. `length`: of the answer's body, if it is known.
    pub(crate) fn new(
        running: &Exchange<Running>,
        sender: BodySender,
        length: Option<u64>,
    ) -> Self {
        let rule = running.label.rule.as_ref();
        Self {
            sender: Some(sender),
            left: length,
            last: Bytes::new(),
            gone: false,
            stall: running.context.timeouts.body_stall,
            cancels: rule.is_some_and(|rule| rule.answer.propagate_cancel),
        }
    }

    /// No client.
    pub(crate) fn none() -> Self {
        let (left, last, stall) = (None, Bytes::new(), Duration::ZERO);
        Self { sender: None, left, last, stall, gone: true, cancels: false }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.sender.as_ref().is_some_and(|sender| !sender.is_gone())
    }

    /// Sends the client a part of the body, if it is still there.
    pub(crate) async fn send(&mut self, mut data: Bytes) {
        let Some(sender) = &self.sender else { return };
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(data.len() as u64);
            if *left == 0 && !data.is_empty() {
                self.last = data.split_off(data.len() - 1);
            }
        }
        if data.is_empty() {
            return;
        }
        let sent = timeout(self.stall, sender.data(data)).await;
        if !matches!(sent, Ok(Ok(()))) {
            self.gone = sent.is_ok();
            self.sender = None;
        }
    }

    /// Gives the client up, so that its answer breaks off.
    pub(super) fn give_up(&mut self) {
        self.sender = None;
    }

    /// Completes when the client has left, if that ends the call. Returns what is recorded then.
    pub(crate) async fn cancelled(&self) -> io::Error {
        match &self.sender {
            Some(sender) if self.cancels => sender.closed().await,
            None if self.cancels && self.gone => {}
            _ => std::future::pending().await,
        }
        io::Error::other("the client left, which cancels the call")
    }

    /// Ends the body properly.
    pub(crate) async fn end(self, trailers: Option<HeaderMap>) {
        let Some(sender) = self.sender else { return };
        let stall = self.stall;
        let end = async move {
            if self.last.is_empty() || sender.data(self.last).await.is_ok() {
                sender.end(trailers).await;
            }
        };
        let _ = timeout(stall, end).await;
    }
}
