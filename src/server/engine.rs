//! An engine: the API and the proxy over one database.

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

/// How much longer than the drain of the API and the proxy the whole drain may take.
const GRACE: Duration = Duration::from_secs(2);

/// The session in the proxy's URL that `serve` prints: a name for the user to change.
const EXAMPLE_SESSION: &str = "my-agent";

/// The addresses of an engine, as `serve` prints them.
#[derive(Debug, Serialize)]
pub(crate) struct Addresses {
    pub(crate) api: String,
    /// The dashboard; if a token is set, this URL signs one browser in.
    dashboard: String,
    pub(crate) proxy: Option<String>,
    /// The proxy's URL for an agent, with a session in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_proxy: Option<String>,
    database: String,
}

/// An engine whose listeners are open.
pub(crate) struct Engine {
    pub(crate) addresses: Addresses,
    api: Api,
    pub(super) proxy: Option<proxy::Proxy>,
    listeners: JoinSet<()>,
    stop: CancellationToken,
    /// Shutdown grace period for running calls.
    drain: Duration,
}

/// Opens the database as its owner, and raises the limit of open files.
pub(crate) fn open_store(config: &Config) -> Result<Store, store::Error> {
    raise_open_files();
    let mut options = Options::new(&config.database.path);
    options.new_database = config.database.create_new;
    options.accept_loss = config.database.accept_loss;
    let limits = &config.database.limits;
    options.max_page_count = limits.max_page_count;
    options.max_log = limits.max_log.unwrap_or(options.max_log);
    options.wait_for_others =
        limits.wait_for_others.map_or(options.wait_for_others, Duration::from_secs);
    options.undelivered_for = config.database.undelivered_for;
    Store::open(&options)
}

/// Opens the listeners and announces them to other processes.
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

    let addresses = Addresses {
        api: url(api_addr),
        dashboard: url(api_addr) + &api.dashboard(),
        proxy: proxy.as_ref().map(|(_, _, addr)| url(*addr)),
        agent_proxy: proxy.as_ref().map(|(_, _, addr)| {
            let token = if config.proxy.require_token { "TOKEN" } else { "x" };
            url(*addr).replacen("http://", &format!("http://{EXAMPLE_SESSION}:{token}@"), 1)
        }),
        database: config.database.path.display().to_string(),
    };
    let stop = CancellationToken::new();
    let mut listeners = JoinSet::new();
    listeners.spawn(serve_api(listener, api.clone(), stop.clone()));
    let proxy = proxy.map(|(proxy, listener, _)| {
        let (stop, server) = (stop.clone(), proxy.clone());
        listeners.spawn(async move { server.serve(listener, stop).await });
        proxy
    });
    store.announce(&addresses.api)?;
    Ok(Engine { addresses, api, proxy, listeners, stop, drain: config.drain })
}

impl Engine {
    /// Resolves if a listener ends by itself, which it only does if it panics.
    pub(crate) async fn listener_failure(&mut self) -> anyhow::Error {
        let ended = self.listeners.join_next().await;
        anyhow::anyhow!("a listener stopped: {ended:?}")
    }

    /// Accepts no more connections and waits for running calls; those that still run after the
    /// drain are in doubt at the next start.
    pub(crate) async fn close(mut self) {
        self.api.drain();
        self.stop.cancel();
        let drained = async { while self.listeners.join_next().await.is_some() {} };
        tokio::select! {
            () = drained => tracing::info!("stopped"),
            () = tokio::time::sleep(self.drain + GRACE) => {
                tracing::warn!("calls are still running: they are in doubt at the next start");
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
            if let (Some(proxy), Some(agent)) = (&self.proxy, &self.agent_proxy) {
                printer.line(format_args!(
                    "Proxy      {proxy}   (start agents with HTTP_PROXY={agent})"
                ))?;
            }
            printer.line(format_args!("Database   {}", crate::printer::visible(&self.database)))?;
        }
        printer.flush()
    }
}
