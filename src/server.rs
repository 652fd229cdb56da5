//! The assembly: open the store, bind, announce, run until a signal, drain, close.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustix::process::{Resource, Rlimit};
use serde::Serialize;
use store::{Options, Store};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Api};
use crate::ca;
use crate::cli::ExitStatus;
use crate::config::{Config, Flags};
use crate::printer::Printer;

/// How long a connection to the API may be silent, or slow with its head. hyper counts the idle time
/// of a kept connection too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(150);

/// How many connections the API serves at once; further ones wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 16_384;

/// How long to wait for file descriptors after accept has failed for want of one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How much longer than the doors' own limit the whole drain may take.
const GRACE: Duration = Duration::from_secs(2);

/// Where the doors are, as `serve` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Doors {
    pub(crate) api: String,
    /// The dashboard; where a token is set, it signs one browser in.
    dashboard: String,
    pub(crate) proxy: Option<String>,
    database: String,
}

/// An engine whose doors are open.
pub(crate) struct Engine {
    pub(crate) at: Doors,
    api: Api,
    proxy: Option<proxy::Proxy>,
    doors: JoinSet<()>,
    stop: CancellationToken,
    /// How long running calls get at the end.
    drain: Duration,
}

/// Runs the engine until SIGTERM or SIGINT; `flags` are what SIGHUP reads the configuration by.
pub(crate) fn run(
    config: &Config,
    flags: &Flags,
    printer: &mut Printer,
) -> anyhow::Result<ExitStatus> {
    let store = open_store(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let ended = serve(config, flags, &store, printer).await;
        store.close().await;
        ended
    });
    // What a task still holds is in doubt at the next start: nothing is gained by waiting for it.
    runtime.shutdown_background();
    ended
}

/// Opens the database as its owner, and makes room for its connections.
pub(crate) fn open_store(config: &Config) -> Result<Store, store::Error> {
    raise_open_files();
    let mut options = Options::new(&config.database);
    options.max_page_count = config.max_page_count;
    Store::open(&options)
}

async fn serve(
    config: &Config,
    flags: &Flags,
    store: &Store,
    printer: &mut Printer,
) -> anyhow::Result<ExitStatus> {
    let mut signals = Signals::listen()?;
    let mut engine = open(config, store).await?;
    engine.at.print(printer)?;
    let proxy = engine.proxy.clone();
    let reloads = reload_on_hangup(&mut signals.hangup, config, flags, proxy.as_ref());
    tokio::select! {
        never = reloads => match never {},
        name = Signals::next(&mut signals.terminate, &mut signals.interrupt) => tracing::info!(signal = name, "stopping"),
        error = engine.failed() => return Err(error),
    }
    tokio::select! {
        () = engine.close() => {}
        name = Signals::next(&mut signals.terminate, &mut signals.interrupt) => {
            tracing::warn!(signal = name, "second signal: leaving at once");
            leave(ExitStatus::Unexpected)
        }
    }
    Ok(ExitStatus::Done)
}

/// Opens both doors and tells other processes where they are.
pub(crate) async fn open(config: &Config, store: &Store) -> anyhow::Result<Engine> {
    let listener = bind(config.addr, "--addr").await?;
    let api_addr = listener.local_addr()?;
    let api = Api::new(store.clone(), api_settings(config, api_addr));
    let proxy = match config.proxy_addr {
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

    let at = Doors {
        api: url(api_addr),
        dashboard: url(api_addr) + &api.dashboard(),
        proxy: proxy.as_ref().map(|(_, _, addr)| url(*addr)),
        database: config.database.display().to_string(),
    };
    if let Some(proxy) = &at.proxy {
        api.set_proxy(proxy.clone());
    }
    let stop = CancellationToken::new();
    let mut doors = JoinSet::new();
    doors.spawn(serve_api(listener, api.clone(), stop.clone()));
    let proxy = proxy.map(|(proxy, listener, _)| {
        let (stop, serving) = (stop.clone(), proxy.clone());
        doors.spawn(async move { serving.serve(listener, stop).await });
        proxy
    });
    store.announce(&at.api)?;
    Ok(Engine { at, api, proxy, doors, stop, drain: config.drain })
}

impl Engine {
    /// Why a door has ended by itself; none does before it is told to, unless it panicked.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        let ended = self.doors.join_next().await;
        anyhow::anyhow!("a listener has ended: {ended:?}")
    }

    /// Takes no more connections and gives running calls their time; what still runs then is in
    /// doubt at the next start.
    pub(crate) async fn close(mut self) {
        self.api.drain();
        self.stop.cancel();
        let drained = async { while self.doors.join_next().await.is_some() {} };
        tokio::select! {
            () = drained => tracing::info!("stopped"),
            () = tokio::time::sleep(self.drain + GRACE) => {
                tracing::warn!("calls still run: what the proxy holds is in doubt at the next start");
            }
        }
    }
}

fn api_settings(config: &Config, addr: SocketAddr) -> api::Settings {
    api::Settings {
        port: addr.port(),
        address: Some(addr.ip()).filter(|address| !address.is_unspecified()),
        allow_hosts: config.allow_host.clone(),
        allow_origins: config.allow_origin.clone(),
        token: config.token.as_ref().map(|token| api::Secret::new(token.reveal())),
    }
}

fn proxy_settings(
    config: &Config,
    store: &Store,
    api: SocketAddr,
    addr: SocketAddr,
    metrics: api::Metrics,
) -> anyhow::Result<proxy::Config> {
    // Beside the database: on the disk that is known to be large and the owner's alone.
    let folder = match config.database.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => ".".into(),
    };
    let mut settings = proxy::Config::new(store.clone(), addr, api, folder);
    settings.settings.clone_from(&config.proxy);
    settings.tls.intercept.clone_from(&config.intercept);
    settings.mcp_trust.clone_from(&config.mcp_trust);
    settings.access.upstream_proxy.clone_from(&config.upstream_proxy);
    settings.access.refuse_loopback = config.refuse_loopback;
    settings.access.refuse_private = config.refuse_private;
    settings.access.connect_ports.clone_from(&config.connect_ports);
    settings.tls.upstream_ca.clone_from(&config.upstream_ca);
    if !config.intercept.is_empty() {
        settings.tls.ca = ca::Files::beside(&config.database).load()?;
    }
    settings.access.require_token = config.require_token;
    settings.access.upstream_proxy.clone_from(&config.upstream_proxy);
    settings.limits.max_request = config.max_request;
    settings.own.confirm_base = url(addr);
    settings.timeouts.drain = config.drain;
    settings.timeouts.max_wait = config.max_wait;
    settings.observer = Arc::new(move |seen| {
        metrics.proxied(seen.outcome.as_str(), seen.duration, seen.upstream);
    });
    Ok(settings)
}

impl Doors {
    fn print(&self, printer: &mut Printer) -> std::io::Result<()> {
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

/// Reads the configuration again at each SIGHUP. What it says of requests holds from then on; a
/// configuration that is refused changes nothing.
async fn reload_on_hangup(
    hangup: &mut Signal,
    config: &Config,
    flags: &Flags,
    proxy: Option<&proxy::Proxy>,
) -> Infallible {
    loop {
        if hangup.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        let read = Config::try_from(flags.reread());
        let new = match read {
            Ok(new) => new,
            Err(error) => {
                tracing::error!(
                    "the configuration was not reloaded and stays as it was: {error:#}"
                );
                continue;
            }
        };
        if let Some(proxy) = proxy {
            proxy.reload(&new.proxy);
        }
        let file = new.file.as_ref().map_or_else(|| "none".into(), |file| file.to_string_lossy());
        let needs_restart = new.needs_restart(config).join(", ");
        let rules = new.proxy.rules.len();
        if needs_restart.is_empty() {
            tracing::info!(%file, rules, "configuration reloaded");
        } else {
            tracing::warn!(%file, rules, %needs_restart, "configuration reloaded, but for what takes a new start");
        }
    }
}

/// SIGTERM and SIGINT, which stop; SIGHUP, which reloads.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    }
}

#[expect(clippy::exit, reason = "at once: what still runs is not waited for")]
fn leave(status: ExitStatus) -> ! {
    std::process::exit(i32::from(status.code()))
}

/// Each connection of either door holds a descriptor, and the soft limit is often 1,024.
fn raise_open_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

async fn bind(addr: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr)
        .await
        .with_context(|| format!("cannot listen on {addr} (choose another with {flag})"))
}

/// Where this machine finds a listener; one on all addresses is found on the loopback.
fn url(addr: SocketAddr) -> String {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, addr.port()))
}

/// Answers API connections until `stop`, then ends when what runs is answered and recorded.
async fn serve_api(listener: TcpListener, api: Api, stop: CancellationToken) {
    let connections = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let (stream, slot) = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = stop.cancelled() => break,
        };
        let api = api.clone();
        let service = service_fn(move |request| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.handle(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(256)
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
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

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small and written at once: Nagle would only hold them back.
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
