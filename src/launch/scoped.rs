//! A port for clients that can send no proxy credentials: each of its connections is one to the
//! engine's proxy, in a tunnel that has brought them.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::credentials::Credentials;

/// How long to wait after a connection could not be accepted (no file descriptors left).
const BREATH: Duration = Duration::from_millis(50);

/// The most bytes of the proxy's answer to CONNECT.
const MAX_ANSWER: usize = 16 * 1024;

/// A port of the loopback, for this run alone. It is closed, with its connections, when this value
/// is dropped; that must not be done by a task.
pub(crate) struct Scoped {
    /// `HOST:PORT`.
    address: String,
    runtime: Option<Runtime>,
}

/// Where its connections lead, and as whom.
struct Way {
    /// `HOST:PORT`.
    proxy: String,
    /// What opens a tunnel from the proxy to itself.
    connect: String,
}

impl Scoped {
    /// Opens the port. Whoever uses it speaks to `proxy` with these credentials.
    pub(super) fn open(proxy: &str, credentials: &Credentials) -> io::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?.to_string();
        let authorization = credentials.authorization();
        let connect = format!(
            "CONNECT {proxy} HTTP/1.1\r\nHost: {proxy}\r\nProxy-Authorization: {authorization}\r\n\r\n"
        );
        runtime.spawn(accept(listener, Arc::new(Way { proxy: proxy.to_owned(), connect })));
        Ok(Self { address, runtime: Some(runtime) })
    }

    /// `HOST:PORT`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Scoped {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, way: Arc<Way>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let way = Arc::clone(&way);
        tokio::spawn(async move {
            if let Err(error) = carry(client, &way).await {
                tracing::debug!(%error, "a connection without credentials has ended");
            }
        });
    }
}

/// Bytes as they come, both ways, to the end of both sides. An end by force is passed on as one: a
/// client that was killed has not got its answer, and the proxy is to see that.
async fn carry(mut client: TcpStream, way: &Way) -> io::Result<()> {
    let mut proxy = TcpStream::connect(&way.proxy).await?;
    client.set_nodelay(true)?;
    proxy.set_nodelay(true)?;
    proxy.write_all(way.connect.as_bytes()).await?;
    admitted(&mut proxy).await?;
    let carried = copy_bidirectional(&mut client, &mut proxy).await;
    if carried.is_err() {
        let _ = (client.set_zero_linger(), proxy.set_zero_linger());
    }
    carried.map(drop)
}

/// Reads the answer to CONNECT; nothing follows it before the client has spoken.
async fn admitted(proxy: &mut TcpStream) -> io::Result<()> {
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
    tracing::warn!(answer = line, "the engine's proxy does not let a Java client in");
    Err(io::ErrorKind::PermissionDenied.into())
}
