//! The body of an upstream's answer, and the connection that it comes by.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::body::incoming::IncomingBody;
use crate::upstream::connection::PooledConnection;

/// The body of an upstream's answer. A body that came whole gives its connection back to the pool.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    body: IncomingBody,
    connection: Option<PooledConnection>,
}

impl UpstreamBody {
    pub(crate) fn new(body: IncomingBody, connection: PooledConnection) -> Self {
        Self { body, connection: Some(connection) }
    }

    /// Lets the upstream be silent for so long from now on.
    pub(crate) fn set_limit(&mut self, limit: Duration) {
        self.body.set_limit(limit);
    }
}

impl HttpBody for UpstreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let (Poll::Ready(Some(Ok(_))), Some(connection)) = (&polled, &this.connection)
            && !this.body.is_end_stream()
        {
            connection.note_part();
        }
        // Before its reader has the end: its next request may need this very connection.
        this.give_back_if_whole();
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl UpstreamBody {
    fn give_back_if_whole(&mut self) {
        if self.body.is_whole()
            && let Some(connection) = self.connection.take()
        {
            connection.give_back();
        }
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        self.give_back_if_whole();
    }
}
