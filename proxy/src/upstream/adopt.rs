//! HTTP on a fresh connection to an upstream.

use std::sync::Arc;

use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use proxy_core::error::Error;
use proxy_core::http::target::{Authority, Scheme, Target};
use store::call::Sent;
use tokio::net::TcpStream;

use super::connection::{PooledConnection, Sender};
use super::http1_io::Http1Io;
use super::http2::Http2Connection;
use super::pool::Pool;
use super::wire::{CountedStream, Sharing, Transport};

/// The most header fields of an answer.
const MAX_HEADERS: usize = 1_024;

impl Pool {
    /// Begins HTTP on a fresh connection: the version that TLS has agreed on, or 1.1.
    pub(crate) async fn adopt(
        self: &Arc<Self>,
        target: &Target,
        transport: Transport,
        sharing: Sharing,
    ) -> Result<PooledConnection, Error> {
        let Transport { io, wire, is_http2 } = transport;
        if is_http2 {
            let fresh = Http2Connection::handshake(TokioIo::new(io), Arc::clone(&wire)).await;
            let fresh = fresh.map_err(|error| no_http(&target.authority, &error))?;
            let stream = fresh.stream();
            if sharing == Sharing::Allowed {
                self.share(&target.authority, &fresh);
            }
            return Ok(PooledConnection::new(Sender::Shared(stream), wire, self, target));
        }
        let (sender, connection) = Builder::new()
            .preserve_header_case(true)
            .title_case_headers(true)
            // What a tool writes after it has acted is read if it can be read in one way only.
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(Http1Io::new(io, Arc::clone(&wire))))
            .await
            .map_err(|error| no_http(&target.authority, &error))?;
        tokio::spawn(async move {
            // The caller that waits for the answer gets the error too.
            let _ = connection.with_upgrades().await;
        });
        Ok(PooledConnection::new(Sender::Exclusive(sender), wire, self, target))
    }

    /// Keeps a connection that was opened before it was known what for.
    pub(crate) async fn keep(self: &Arc<Self>, authority: &Authority, stream: TcpStream) {
        let (scheme, authority) = (Scheme::Http, authority.clone());
        let target = Target { scheme, authority, path_and_query: String::new() };
        let transport = Transport::plain(CountedStream::new(stream));
        if let Ok(connection) = self.adopt(&target, transport, Sharing::Exclusive).await {
            connection.keep_untouched();
        }
    }
}

fn no_http(authority: &Authority, error: &hyper::Error) -> Error {
    Error::Upstream {
        detail: format!("could not speak HTTP with {authority}: {error}"),
        sent: Sent::Never,
    }
}
