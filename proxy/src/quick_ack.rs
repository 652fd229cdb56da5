//! Acknowledges at once what a peer waits for before it sends the rest of a message.
//!
//! With Nagle's algorithm (RFC 9293, 3.7.4) a peer that writes head and body apart holds the body
//! back until the head is acknowledged. Linux delays that by 40 ms, unless `TCP_QUICKACK` is set
//! after the head was read. The option does not last, so it is set for each part.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Acknowledges what was read. It is a matter of speed alone: errors do not count.
pub(crate) fn acknowledge(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_quickack(stream, true);
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

/// A stream whose reader reads on only while a message is incomplete: a read that finds nothing,
/// with no write since bytes came, acknowledges these. A message that came whole is acknowledged
/// with its answer, and costs nothing.
#[derive(Debug)]
pub(crate) struct QuickAck {
    io: TcpStream,
    /// Bytes have come, and nothing was written since.
    unanswered: bool,
}

impl QuickAck {
    pub(crate) fn new(io: TcpStream) -> Self {
        Self { io, unanswered: false }
    }

    pub(crate) fn into_inner(self) -> TcpStream {
        self.io
    }

    fn note_write(&mut self, written: &Poll<io::Result<usize>>) {
        self.unanswered &= !matches!(written, Poll::Ready(Ok(_)));
    }
}

impl AsyncRead for QuickAck {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_read(cx, buf);
        if polled.is_ready() {
            this.unanswered = true;
        } else if std::mem::take(&mut this.unanswered) {
            acknowledge(&this.io);
        }
        polled
    }
}

impl AsyncWrite for QuickAck {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.note_write(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::net::sockopt::tcp_quickack;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Whether the system acknowledges at once what comes next. It does not in a conversation.
    fn is_quick(stream: &QuickAck) -> bool {
        tcp_quickack(&stream.io).is_ok_and(|quick| quick)
    }

    #[tokio::test]
    async fn only_an_incomplete_message_is_acknowledged_before_its_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut server = QuickAck::new(listener.accept().await.unwrap().0);
        let mut buf = [0; 64];
        for _ in 0..8 {
            client.write_all(b"a whole message").await.unwrap();
            let _ = server.read(&mut buf).await.unwrap();
            server.write_all(b"an answer").await.unwrap();
            let _ = client.read(&mut buf).await.unwrap();
        }
        assert!(!is_quick(&server), "a whole message is acknowledged with its answer");
        client.write_all(b"a part").await.unwrap();
        let _ = server.read(&mut buf).await.unwrap();
        assert!(!is_quick(&server), "it may be whole");
        let mut rest = std::pin::pin!(server.read(&mut buf));
        std::future::poll_fn(|cx| {
            assert!(rest.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert!(is_quick(&server), "the reader waits for more");
    }
}
