//! A store, and a proxy before it.

use std::net::SocketAddr;

use proxy::{Config, Proxy};
use store::{Options, Store};
use tempfile::TempDir;
pub(crate) use testkit::on_tokio::{Answer, Upstream, ask, get, post, read_head};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running proxy with its store.
pub(crate) struct Engine {
    pub(crate) address: SocketAddr,
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Engine {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Options::new(folder.path().join("state.db"))).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = SocketAddr::from(([127, 0, 0, 1], 3030));
        let mut config = Config::new(store.clone(), address, api, folder.path().to_owned());
        change(&mut config);
        let proxy = Proxy::new(config).unwrap();
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let task = tokio::spawn(async move { proxy.serve(listener, stop).await });
        Self { address, store, folder, shutdown, task }
    }

    /// Sends `raw` on a new connection and reads the answer.
    pub(crate) async fn ask(&self, raw: impl AsRef<[u8]>) -> Answer {
        ask(self.address, raw).await
    }

    /// POSTs `body` through the proxy in absolute form.
    pub(crate) async fn post(&self, upstream: &Upstream, headers: &str, body: &str) -> Answer {
        self.ask(post(upstream.address, "/act", headers, body)).await
    }
}
