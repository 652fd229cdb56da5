//! The listeners, and the connections of the API.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use rustix::process::{Resource, Rlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::taking::Taking;
use crate::api::Api;

/// How many connections the API serves at once; further ones wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 16_384;

/// How long to wait after accept has failed for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Raises the limit of open files: each connection needs a descriptor, and the soft limit is often
/// 1,024.
pub(super) fn raise_open_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

/// How many files may be open.
pub(super) fn open_files() -> u64 {
    rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

pub(super) async fn bind(addr: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr)
        .await
        .with_context(|| format!("cannot listen on {addr} (choose another with {flag})"))
}

/// The URL of a listener on this machine; a listener on all addresses is reached on the loopback.
pub(super) fn url(addr: SocketAddr) -> String {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, addr.port()))
}

/// Serves API connections until `stop`, then returns when running calls are answered and recorded.
pub(super) async fn serve_api(listener: TcpListener, api: Api, stop: CancellationToken) {
    let connections = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let timeouts = proxy::Timeouts::default();
    loop {
        let (stream, slot) = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = stop.cancelled() => break,
        };
        let api = api.clone();
        let (stream, turns) = proxy::limit_client(stream, &timeouts);
        let service = service_fn(move |request| {
            let (api, turn) = (api.clone(), turns.begin());
            async move {
                let answer = api.handle(request).await;
                // The turn ends with the body.
                Ok::<_, Infallible>(answer.map(|body| {
                    body.map_err(move |never| {
                        let _turn = &turn;
                        never
                    })
                }))
            }
        });
        let connection = http1::Builder::new()
            .max_headers(256)
            .half_close(true)
            .serve_connection(TokioIo::new(Taking::new(stream)), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "API connection ended");
            }
            drop(slot);
        });
    }
    drop(listener);
    connections.shutdown().await;
    api.drained().await;
}

/// The next connection, once fewer than the maximum are open.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small and written at once, so Nagle would only delay them.
                let _ = stream.set_nodelay(true);
                return (stream, slot);
            }
            Err(error) => {
                tracing::warn!(%error, "the API cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_listener_on_all_addresses_is_found_on_the_loopback() {
        let url = |addr: &str| super::url(addr.parse().unwrap());
        assert_eq!(url("0.0.0.0:1"), "http://127.0.0.1:1");
        assert_eq!(url("[::]:1"), "http://[::1]:1");
        assert_eq!(url("192.0.2.7:1"), "http://192.0.2.7:1");
    }
}
