//! A port for clients that cannot send proxy credentials: it passes each connection on to the
//! proxy, in a tunnel that carries them.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::credentials::Credentials;

/// How long to wait after a failed accept (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The longest answer to CONNECT, in bytes.
const MAX_ANSWER: usize = 16 * 1024;

/// A port on the loopback, for this run only. Dropping the value closes the port and its
/// connections; a task must not drop it.
pub(crate) struct JavaPort {
    /// `HOST:PORT`.
    address: String,
    runtime: Option<Runtime>,
}

/// Where its connections go, and with which credentials.
struct TunnelTarget {
    /// `HOST:PORT`.
    proxy: String,
    /// The request that opens a tunnel from the proxy to itself.
    connect: String,
}

impl JavaPort {
    /// Opens the port. Its clients use `proxy` with these credentials.
    pub(super) fn open(proxy: &str, credentials: &Credentials) -> io::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?.to_string();
        let authorization = credentials.authorization();
        let connect = format!(
            "CONNECT {proxy} HTTP/1.1\r\nHost: {proxy}\r\nProxy-Authorization: {authorization}\r\n\r\n"
        );
        runtime
            .spawn(accept(listener, Arc::new(TunnelTarget { proxy: proxy.to_owned(), connect })));
        Ok(Self { address, runtime: Some(runtime) })
    }

    /// `HOST:PORT`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for JavaPort {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, target: Arc<TunnelTarget>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let target = Arc::clone(&target);
        tokio::spawn(async move {
            if let Err(error) = relay(client, &target).await {
                tracing::debug!(%error, "connection of a Java client ended");
            }
        });
    }
}

/// Copies bytes both ways until both sides end. A reset is passed on as a reset: a client that was
/// killed has not received its answer, and the proxy must see that.
async fn relay(mut client: TcpStream, target: &TunnelTarget) -> io::Result<()> {
    let mut proxy = TcpStream::connect(&target.proxy).await?;
    client.set_nodelay(true)?;
    proxy.set_nodelay(true)?;
    proxy.write_all(target.connect.as_bytes()).await?;
    read_tunnel_answer(&mut proxy).await?;
    let relayed = copy_bidirectional(&mut client, &mut proxy).await;
    if relayed.is_err() {
        let _ = (client.set_zero_linger(), proxy.set_zero_linger());
    }
    relayed.map(drop)
}

/// Reads the answer to CONNECT; nothing follows it before the client sends something.
async fn read_tunnel_answer(proxy: &mut TcpStream) -> io::Result<()> {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if proxy.read_buf(&mut answer).await? == 0 || answer.len() > MAX_ANSWER {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if answer.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    tracing::warn!(answer = line, "the proxy refused a Java client");
    Err(io::ErrorKind::PermissionDenied.into())
}
