//! The configuration: defaults, then the file, then the environment, then flags; the later wins.

mod content;
pub(crate) mod env;
mod file;
mod flags;
mod layers;
mod setting;
pub(crate) mod settings;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use proxy::{EgressProxies, HostPattern, Route, Rule, UpstreamCa};

use self::file::File;
use self::flags::StoreLimits;
pub(crate) use self::flags::{Flags, Target, parse};
use self::layers::Layers;
pub(crate) use self::layers::ListedSetting;
pub(crate) use self::values::{LogFormat, Token};

/// The checked configuration of the engine.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The file, if there is one.
    pub(crate) file: Option<PathBuf>,
    pub(crate) database: DatabaseConfig,
    pub(crate) api: ApiConfig,
    pub(crate) proxy: ProxyConfig,
    pub(crate) log_format: LogFormat,
    /// Shutdown grace period for running calls.
    pub(crate) drain: Duration,
    /// Each setting, its value and where it comes from.
    pub(crate) listed: Vec<ListedSetting>,
    layers: Layers,
}

#[derive(Debug, Clone)]
pub(crate) struct DatabaseConfig {
    pub(crate) path: PathBuf,
    pub(crate) limits: StoreLimits,
    /// Create it also where the files of another say that there was one.
    pub(crate) create_new: bool,
    /// Open it also if records are missing that were on disk.
    pub(crate) accept_loss: bool,
    /// How long an answer that did not arrive is remembered.
    pub(crate) undelivered_for: Duration,
}

/// The settings of the state API.
#[derive(Debug, Clone)]
pub(crate) struct ApiConfig {
    pub(crate) addr: SocketAddr,
    pub(crate) token: Option<Token>,
    pub(crate) allow_hosts: Vec<String>,
    pub(crate) allow_origins: Vec<String>,
}

/// The settings of the proxy.
#[derive(Debug, Clone)]
pub(crate) struct ProxyConfig {
    /// `None` if the proxy is off.
    pub(crate) addr: Option<SocketAddr>,
    pub(crate) require_token: bool,
    /// In bytes.
    pub(crate) max_request: u64,
    pub(crate) max_wait: Duration,
    /// How long one end of a tunnel may be silent after the other has closed.
    pub(crate) tunnel_idle: Duration,
    pub(crate) silence: Duration,
    pub(crate) late: Duration,
    /// The rules for calls; a reload changes them.
    pub(crate) calls: proxy::Settings,
    pub(crate) intercept: Vec<HostPattern>,
    pub(crate) mcp_trust: Vec<String>,
    pub(crate) upstream: UpstreamConfig,
}

/// Where calls may go, and how.
#[derive(Debug, Clone)]
pub(crate) struct UpstreamConfig {
    pub(crate) proxy: Option<EgressProxies>,
    /// Certificates besides those of the system.
    pub(crate) trusted: Vec<UpstreamCa>,
    pub(crate) refuse_loopback: bool,
    pub(crate) refuse_private: bool,
    /// Empty for all ports.
    pub(crate) connect_ports: Vec<u16>,
}

/// The shortest token that is allowed beyond the loopback, in bytes.
const SHORTEST_TOKEN: usize = 32;

impl Config {
    /// The names of settings that differ from `running` and need a restart.
    pub(crate) fn needs_restart(&self, running: &Self) -> Vec<&'static str> {
        self.layers.needs_restart(&running.layers)
    }
}

impl TryFrom<Flags> for Config {
    type Error = anyhow::Error;

    /// Refuses a listener beyond the loopback without its credentials. Reads the configuration
    /// file, and touches no other file and no port.
    fn try_from(flags: Flags) -> anyhow::Result<Self> {
        let Flags { target, written, store_limits } = flags;
        let database = target.named_database()?;
        let file = target.file()?;
        let layers = Layers::new(&written, file, &database)?;
        let config = Self {
            file: file.map(|file| file.path.clone()),
            database: DatabaseConfig {
                path: database,
                limits: store_limits,
                create_new: false,
                accept_loss: false,
                undelivered_for: layers.one(&settings::UNDELIVERED_FOR)?.0,
            },
            api: ApiConfig::new(&layers)?,
            proxy: ProxyConfig::new(&layers, file)?,
            log_format: layers.one(&settings::LOG_FORMAT)?,
            drain: layers.one(&settings::DRAIN)?.0,
            listed: layers.listed().cloned().chain(file.into_iter().flat_map(tables)).collect(),
            layers,
        };
        config.api.check()?;
        config.proxy.check()?;
        Ok(config)
    }
}

/// The rules and routes of the file, as `config show` lists them.
fn tables(file: &File) -> Vec<ListedSetting> {
    let line = |table: &str, index: usize, name: Option<&str>| ListedSetting {
        name: format!("{table}.{}", index + 1),
        value: name.unwrap_or_default().to_owned(),
        from: file.location(&[table], Some(index)),
    };
    let rules = file.content.rules.iter().map(Rule::name).enumerate();
    let routes = file.content.routes.iter().map(Route::name).enumerate();
    rules
        .map(|(index, name)| line("rule", index, name))
        .chain(routes.map(|(index, name)| line("route", index, Some(name))))
        .collect()
}

impl ApiConfig {
    fn new(layers: &Layers) -> anyhow::Result<Self> {
        Ok(Self {
            addr: layers.one(&settings::ADDR)?,
            token: layers.optional(&settings::TOKEN)?,
            allow_hosts: layers.list(&settings::ALLOW_HOST)?,
            allow_origins: layers.list(&settings::ALLOW_ORIGIN)?,
        })
    }

    fn check(&self) -> anyhow::Result<()> {
        if is_loopback(self.addr) {
            return Ok(());
        }
        let Some(token) = &self.token else {
            bail!(
                "--addr {} can be reached by other machines: set a token with --token or {}",
                self.addr,
                settings::TOKEN.variable()
            );
        };
        if token.reveal().len() < SHORTEST_TOKEN {
            bail!(
                "--addr {} can be reached by other machines: the token must have {SHORTEST_TOKEN} \
                 characters or more, for example from `openssl rand -hex 32`",
                self.addr
            );
        }
        Ok(())
    }
}

impl ProxyConfig {
    fn new(layers: &Layers, file: Option<&File>) -> anyhow::Result<Self> {
        let enabled = layers.one(&settings::ENABLED)?;
        let content = file.map(|file| file.content.clone()).unwrap_or_default();
        Ok(Self {
            addr: Some(layers.one(&settings::PROXY_ADDR)?).filter(|_| enabled),
            require_token: layers.one(&settings::REQUIRE_TOKEN)?,
            max_request: layers.one(&settings::MAX_REQUEST)?.0,
            max_wait: layers.one(&settings::MAX_WAIT)?.0,
            tunnel_idle: layers.one(&settings::TUNNEL_IDLE)?.0,
            silence: layers.one(&settings::SILENCE)?.0,
            late: layers.one(&settings::LATE)?.0,
            calls: proxy::Settings {
                pass: layers.list(&settings::PASS)?,
                reads_table: layers.one(&settings::READS_TABLE)?,
                keyed_table: layers.one(&settings::KEYED_TABLE)?,
                rules: content.rules,
                routes: content.routes,
            },
            intercept: layers.list(&settings::INTERCEPT)?,
            mcp_trust: layers.list(&settings::MCP_TRUST)?,
            upstream: UpstreamConfig::new(layers)?,
        })
    }

    fn check(&self) -> anyhow::Result<()> {
        if let Some(addr) = self.addr
            && !is_loopback(addr)
            && !self.require_token
        {
            bail!("--proxy-addr {addr} can be reached by other machines: add --require-token");
        }
        Ok(())
    }
}

impl UpstreamConfig {
    fn new(layers: &Layers) -> anyhow::Result<Self> {
        let direct = layers.optional(&settings::UPSTREAM_DIRECT)?.unwrap_or_default();
        let hop = layers.optional(&settings::UPSTREAM_PROXY)?;
        let trusted = layers.list(&settings::UPSTREAM_CA)?;
        let ports = layers.list(&settings::CONNECT_PORTS)?;
        Ok(Self {
            proxy: hop.map(|hop| EgressProxies::new(Some(hop.clone()), Some(hop), &direct)),
            trusted: trusted.into_iter().map(UpstreamCa::from).collect(),
            refuse_loopback: layers.one(&settings::REFUSE_LOOPBACK)?,
            refuse_private: layers.one(&settings::REFUSE_PRIVATE)?,
            connect_ports: ports.into_iter().map(|port| port.0).collect(),
        })
    }
}

fn is_loopback(addr: SocketAddr) -> bool {
    addr.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests;
