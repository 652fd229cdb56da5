//! An engine: the API and the proxy over one database, from the first connection to the last.

use std::time::Duration;

use serde::Serialize;
use store::{Options, Store};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::listeners::{bind, raise_open_files, serve_api, url};
use super::wiring::{api_settings, proxy_settings};
use crate::api::Api;
use crate::config::Config;
use crate::printer::Printer;

/// How much longer than the limit of the API and the proxy the whole drain may take.
const GRACE: Duration = Duration::from_secs(2);

/// Where the engine is reached, as `serve` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Addresses {
    pub(crate) api: String,
    /// The dashboard; where a token is set, it signs one browser in.
    dashboard: String,
    pub(crate) proxy: Option<String>,
    database: String,
}

/// An engine that listens.
pub(crate) struct Engine {
    pub(crate) at: Addresses,
    api: Api,
    pub(super) proxy: Option<proxy::Proxy>,
    listeners: JoinSet<()>,
    stop: CancellationToken,
    /// How long running calls get at the end.
    drain: Duration,
}

/// Opens the database as its owner, and makes room for its connections.
pub(crate) fn open_store(config: &Config) -> Result<Store, store::Error> {
    raise_open_files();
    let mut options = Options::new(&config.database.path);
    options.max_page_count = config.database.max_page_count;
    Store::open(&options)
}

/// Listens, and tells other processes where.
pub(crate) async fn open(config: &Config, store: &Store) -> anyhow::Result<Engine> {
    let listener = bind(config.api.addr, "--addr").await?;
    let api_addr = listener.local_addr()?;
    let api = Api::new(store.clone(), api_settings(config, api_addr));
    let proxy = match config.proxy.addr {
        Some(addr) => {
            let listener = bind(addr, "--proxy-addr").await?;
            let addr = listener.local_addr()?;
            api.set_proxy(url(addr));
            let settings = proxy_settings(config, store, api_addr, addr, api.metrics().clone())?;
            let proxy = proxy::Proxy::new(settings)?;
            api.watch(proxy.clone());
            if let Some(pem) = proxy.ca_pem() {
                api.set_ca(pem.to_owned());
            }
            Some((proxy, listener, addr))
        }
        None => None,
    };

    let at = Addresses {
        api: url(api_addr),
        dashboard: url(api_addr) + &api.dashboard(),
        proxy: proxy.as_ref().map(|(_, _, addr)| url(*addr)),
        database: config.database.path.display().to_string(),
    };
    let stop = CancellationToken::new();
    let mut listeners = JoinSet::new();
    listeners.spawn(serve_api(listener, api.clone(), stop.clone()));
    let proxy = proxy.map(|(proxy, listener, _)| {
        let (stop, serving) = (stop.clone(), proxy.clone());
        listeners.spawn(async move { serving.serve(listener, stop).await });
        proxy
    });
    store.announce(&at.api)?;
    Ok(Engine { at, api, proxy, listeners, stop, drain: config.drain })
}

impl Engine {
    /// Why a listener has ended by itself; none does before the engine is closed, unless it panicked.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        let ended = self.listeners.join_next().await;
        anyhow::anyhow!("a listener has ended: {ended:?}")
    }

    /// Takes no more connections and gives running calls their time; what still runs then is in
    /// doubt at the next start.
    pub(crate) async fn close(mut self) {
        self.api.drain();
        self.stop.cancel();
        let drained = async { while self.listeners.join_next().await.is_some() {} };
        tokio::select! {
            () = drained => tracing::info!("stopped"),
            () = tokio::time::sleep(self.drain + GRACE) => {
                tracing::warn!("calls still run: what the proxy holds is in doubt at the next start");
            }
        }
    }
}

impl Addresses {
    pub(super) fn print(&self, printer: &mut Printer) -> std::io::Result<()> {
        if printer.json() {
            printer.json_line(self)?;
        } else {
            printer.line(format_args!("State API  {}", self.api))?;
            printer.line(format_args!("Dashboard  {}", self.dashboard))?;
            if let Some(proxy) = &self.proxy {
                printer.line(format_args!(
                    "Proxy      {proxy}   (start agents with HTTP_PROXY={proxy})"
                ))?;
            }
            printer.line(format_args!("Database   {}", crate::printer::visible(&self.database)))?;
        }
        printer.flush()
    }
}
