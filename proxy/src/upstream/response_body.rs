//! The body of an upstream's answer, and the connection that it comes by.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::body::timed::Timed;
use crate::upstream::pool::Connection;

/// An upstream's body; gives its connection back to the pool when it is whole.
#[derive(Debug)]
pub(crate) struct FromUpstream {
    body: Timed,
    connection: Option<Connection>,
}

impl FromUpstream {
    pub(crate) fn new(body: Timed, connection: Connection) -> Self {
        Self { body, connection: Some(connection) }
    }
}

impl HttpBody for FromUpstream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for FromUpstream {
    fn drop(&mut self) {
        if self.body.is_whole()
            && let Some(connection) = self.connection.take()
        {
            connection.give_back();
        }
    }
}
