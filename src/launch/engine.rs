//! The engine that guards a program: the one that is running, else one that this process starts.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Parser;
use store::{Reader, Store, private};
use tokio::runtime::Runtime;

use super::upstream_proxy::UpstreamProxies;
use crate::client::{self, ApiClient};
use crate::config::{Config, Flags, Target, settings};
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::server::engine as server;
use crate::source;

/// How long to wait for an engine that is starting or stopping.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(15);
/// How often to check it.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// An engine with its API and its proxy open.
pub(crate) struct AttachedEngine {
    database: PathBuf,
    client: ApiClient,
    reader: Reader,
    api: String,
    /// `HOST:PORT`.
    proxy: String,
    notes: Vec<String>,
    own: Option<OwnEngine>,
    /// Locked while another process's engine is in use.
    in_use: Option<File>,
}

/// An engine in this process.
struct OwnEngine {
    runtime: Runtime,
    engine: server::Engine,
    store: Store,
}

/// The settings of `serve`, from the environment and from `run`.
#[derive(Debug, Parser)]
struct EngineArgs {
    #[command(flatten)]
    flags: Flags,
}

impl AttachedEngine {
    /// Finds the engine that holds the lock of the database of `target`. If there is none, starts
    /// one on two free ports of the loopback, with session tokens required.
    pub(crate) fn attach_or_start(
        target: &Target,
        upstream_proxy: &UpstreamProxies,
    ) -> anyhow::Result<Self> {
        // The program may have a different working folder.
        let database = std::path::absolute(target.database()?)?;
        let deadline = Instant::now() + ATTACH_TIMEOUT;
        loop {
            let in_use = share_runs_lock(&database)?;
            let found = match source::server_of(&database, target) {
                Ok(Some(client)) => {
                    Self::attach(&database, client, in_use, upstream_proxy).map(Some)
                }
                Ok(None) => Self::start(&database, target, upstream_proxy),
                Err(error) => Err(error),
            };
            match found {
                Ok(Some(engine)) => return Ok(engine),
                // Another process was faster, or an engine is starting or stopping.
                Ok(None) if Instant::now() < deadline => {}
                Err(error) if Instant::now() < deadline && is_unreachable(&error) => {}
                Ok(None) => bail!(
                    "cannot open {}: it is being opened and closed repeatedly",
                    database.display()
                ),
                Err(error) => return Err(error),
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn attach(
        database: &Path,
        client: ApiClient,
        in_use: Option<File>,
        upstream_proxy: &UpstreamProxies,
    ) -> anyhow::Result<Self> {
        let api = client.url();
        let proxy = client.readiness()?.proxy.with_context(|| {
            format!("the engine at {api} has no proxy: start it without --no-proxy")
        })?;
        let proxy = address(&proxy).to_owned();
        let own_proxy = upstream_proxy.all().any(|other| other.address() == proxy);
        let mut notes = Vec::new();
        if let Some(users) = upstream_proxy.all().next().filter(|_| !own_proxy) {
            notes.push(format!(
                "warning: the engine at {api} does not use the proxy {}: start it with serve \
                 --upstream-proxy",
                users.address()
            ));
        }
        let reader = Reader::open(database)?;
        let database = database.to_owned();
        Ok(Self { database, client, reader, api, proxy, notes, own: None, in_use })
    }

    /// `None` if another process has just locked the database.
    fn start(
        database: &Path,
        target: &Target,
        upstream_proxy: &UpstreamProxies,
    ) -> anyhow::Result<Option<Self>> {
        let config = config(database, target, upstream_proxy)?;
        let store = match server::open_store(&config) {
            Ok(store) => store,
            Err(store::Error::Locked { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let engine = match runtime.block_on(server::open(&config, &store)) {
            Ok(engine) => engine,
            Err(error) => {
                runtime.block_on(store.close());
                return Err(error);
            }
        };
        let api = engine.addresses.api.clone();
        let proxy = engine.addresses.proxy.as_deref().map(address).map(str::to_owned);
        let proxy = proxy.context("run needs the proxy")?;
        Ok(Some(Self {
            database: database.to_owned(),
            client: ApiClient::new(&api, target.token().as_ref())?,
            reader: Reader::open(database)?,
            api,
            proxy,
            notes: Vec::new(),
            own: Some(OwnEngine { runtime, engine, store }),
            in_use: None,
        }))
    }

    pub(crate) fn client(&self) -> &ApiClient {
        &self.client
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The URL of the state API.
    pub(crate) fn api(&self) -> &str {
        &self.api
    }

    /// `HOST:PORT` of the proxy.
    pub(crate) fn proxy(&self) -> &str {
        &self.proxy
    }

    pub(crate) fn database(&self) -> &Path {
        &self.database
    }

    /// What the user should know about it.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    /// Stops an engine in this process, once no other `run` uses it and running calls are recorded.
    /// Returns how the process ends: as `ended`, unless that engine lost its files.
    pub(crate) fn close(
        self,
        ended: anyhow::Result<ExitStatus>,
        printer: &mut Printer,
    ) -> anyhow::Result<ExitStatus> {
        let Self { own, in_use, database, .. } = self;
        drop(in_use);
        let Some(own) = own else { return ended };
        let alone = wait_for_others(&database, printer);
        own.runtime.block_on(async {
            own.engine.close().await;
            own.store.close().await;
        });
        own.runtime.shutdown_background();
        drop(alone);
        if own.store.is_lost() { ended.map(|_| ExitStatus::StoreLost) } else { ended }
    }
}

fn config(
    database: &Path,
    target: &Target,
    upstream_proxy: &UpstreamProxies,
) -> anyhow::Result<Config> {
    let mut line: Vec<&OsStr> = ["run", "--addr=127.0.0.1:0", "--proxy-addr=127.0.0.1:0"]
        .into_iter()
        .chain(["--require-token", "--database"])
        .map(OsStr::new)
        .collect();
    line.push(database.as_os_str());
    if let Some(file) = target.named_file() {
        line.extend([OsStr::new("--config"), file.as_os_str()]);
    }
    let line: EngineArgs = crate::config::parse(line)?;
    let mut config = Config::try_from(line.flags)?;
    if config.proxy.addr.is_none() {
        bail!(
            "{} or the configuration file switches the proxy off, but run needs it",
            settings::ENABLED.variable()
        );
    }
    if let Some(token) = target.token() {
        config.api.token = Some(token);
    }
    if let Some(proxies) = upstream_proxy.egress_proxies() {
        config.proxy.upstream.proxy = Some(proxies);
    }
    Ok(config)
}

fn address(url: &str) -> &str {
    url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/')
}

fn is_unreachable(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(client::Error::Unreachable { .. }))
}

/// Locks `<database>.runs`, shared, for a `run` that uses the engine of another process. The kernel
/// frees the lock however a process ends.
fn share_runs_lock(database: &Path) -> anyhow::Result<Option<File>> {
    if !database.exists() {
        return Ok(None);
    }
    let file = lock_file(database)?;
    file.lock_shared()?;
    Ok(Some(file))
}

fn lock_file(database: &Path) -> anyhow::Result<File> {
    let mut path = database.as_os_str().to_owned();
    path.push(".runs");
    private::open(path.as_ref()).with_context(|| path.to_string_lossy().into_owned())
}

/// Waits until no other `run` uses the engine of this process. While the returned file is open, no
/// other `run` starts to use it: each waits, and then finds that nothing serves the database.
fn wait_for_others(database: &Path, printer: &mut Printer) -> Option<File> {
    let file = lock_file(database).ok()?;
    let mut announced = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Some(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(_)) => return None,
        }
        if !announced {
            announced = true;
            printer.note("waiting for another run that uses this engine");
        }
        thread::sleep(POLL_INTERVAL);
    }
}
