//! What the engine runs with: defaults, then the file, then the environment, then flags; the later
//! wins.

pub(crate) mod env;
mod file;
mod flags;
mod layers;
mod names;
mod values;

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use proxy::{Chain, HostPattern, Route, UpstreamCa};

pub(crate) use self::flags::{Flags, Place, parse};
use self::layers::Layers;
pub(crate) use self::layers::Setting;
use self::values::TrustedCa;
pub(crate) use self::values::{LogFormat, Secret};

/// What the server runs with, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    pub(crate) database: PathBuf,
    pub(crate) addr: SocketAddr,
    /// `None`: no proxy.
    pub(crate) proxy_addr: Option<SocketAddr>,
    /// In bytes.
    pub(crate) max_request: u64,
    /// What may change while the server runs.
    pub(crate) proxy: proxy::Settings,
    pub(crate) intercept: Vec<HostPattern>,
    pub(crate) upstream_ca: Vec<UpstreamCa>,
    pub(crate) mcp_trust: Vec<String>,
    pub(crate) refuse_loopback: bool,
    pub(crate) refuse_private: bool,
    /// None: all of them.
    pub(crate) connect_ports: Vec<u16>,
    pub(crate) upstream_proxy: Option<Chain>,
    pub(crate) token: Option<Secret>,
    pub(crate) require_token: bool,
    pub(crate) allow_host: Vec<String>,
    pub(crate) allow_origin: Vec<String>,
    pub(crate) log_format: LogFormat,
    pub(crate) max_page_count: Option<u64>,
    pub(crate) drain: Duration,
    pub(crate) max_wait: Duration,
    /// Each value with where it came from.
    pub(crate) settings: Vec<Setting>,
}

/// How short a token may be that keeps other machines out, in bytes.
const SHORTEST_TOKEN: usize = 32;

/// The settings that a reload changes, by the beginnings of their names.
const RELOADED: &[&str] =
    &[names::PASS.name, names::READS_TABLE.name, names::KEYED_TABLE.name, "rule.", "route."];

impl Config {
    /// The names of settings that differ from those of `running`, and take a new start.
    pub(crate) fn needs_restart<'a>(&'a self, running: &Self) -> Vec<&'a str> {
        let differs = |setting: &&Setting| {
            let same = |other: &Setting| other.name == setting.name && other.value == setting.value;
            !RELOADED.iter().any(|name| setting.name.starts_with(name))
                && !running.settings.iter().any(same)
        };
        // These two are shown without what is secret of them.
        let same_hops = match (&self.upstream_proxy, &running.upstream_proxy) {
            (Some(new), Some(old)) => new.has_hops_of(old),
            (new, old) => new.is_none() && old.is_none(),
        };
        let secrets = [
            (names::TOKEN.name, self.token != running.token),
            (names::UPSTREAM_PROXY.name, !same_hops),
        ];
        let shown = self.settings.iter().filter(differs).map(|setting| setting.name.as_str());
        let mut names: Vec<_> = shown.collect();
        for (name, differs) in secrets {
            if differs && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

impl TryFrom<Flags> for Config {
    type Error = anyhow::Error;

    /// Refuses what would open a door to others without a key to it. Reads the configuration file
    /// and touches no other file and no port.
    fn try_from(flags: Flags) -> anyhow::Result<Self> {
        let Flags { given, sources } = flags;
        let database = given.place.database()?;
        let file = given.place.file()?;
        let content = file.map(|file| file.content.clone()).unwrap_or_default();
        let (server, proxy) = (content.server, content.proxy);
        let mut at = Layers::new(&sources, file);

        let addr = at.one(&names::ADDR, Some(given.addr), server.addr, given.addr);
        let shown = database.display().to_string();
        let in_file_shown = server.database.is_some().then(|| shown.clone());
        at.one(&names::DATABASE, Some(shown.clone()), in_file_shown, shown);
        let token = at.optional(&names::TOKEN, given.place.token.clone(), server.token, None);
        let allow_host = at.list(&names::ALLOW_HOST, given.allow_host, server.allow_host);
        let allow_origin = at.list(&names::ALLOW_ORIGIN, given.allow_origin, server.allow_origin);
        let log_format =
            at.one(&names::LOG_FORMAT, Some(given.log_format), server.log_format, given.log_format);
        let drain = at.one(&names::DRAIN, Some(given.drain), server.drain, given.drain);
        let enabled = at.one(&names::ENABLED, Some(!given.no_proxy), proxy.enabled, true);
        let proxy_addr =
            at.one(&names::PROXY_ADDR, Some(given.proxy_addr), proxy.addr, given.proxy_addr);
        let max_request = at.one(
            &names::MAX_REQUEST,
            Some(given.max_request),
            proxy.max_request,
            given.max_request,
        );
        let max_wait =
            at.one(&names::MAX_WAIT, Some(given.max_wait), proxy.max_wait, given.max_wait);
        let pass = at.list(&names::PASS, given.pass, proxy.pass);
        let require_token =
            at.one(&names::REQUIRE_TOKEN, Some(given.require_token), proxy.require_token, false);
        let reads_table = at.one(&names::READS_TABLE, None, proxy.reads_table, true);
        let keyed_table = at.one(&names::KEYED_TABLE, None, proxy.keyed_table, true);
        let refuse_loopback = at.one(&names::REFUSE_LOOPBACK, None, proxy.refuse_loopback, false);
        let refuse_private = at.one(&names::REFUSE_PRIVATE, None, proxy.refuse_private, false);
        let connect_ports = at.list(&names::CONNECT_PORTS, Vec::new(), proxy.connect_ports);
        let upstream_proxy =
            at.optional(&names::UPSTREAM_PROXY, given.upstream_proxy, proxy.upstream_proxy, None);
        let upstream_direct = at.optional(
            &names::UPSTREAM_DIRECT,
            given.upstream_direct,
            proxy.upstream_direct,
            None,
        );
        let intercept = at.list(&names::INTERCEPT, given.intercept, proxy.intercept.hosts);
        let beside = |trusted: TrustedCa| match file {
            Some(file) => TrustedCa(UpstreamCa { file: file.beside(&trusted.0.file), ..trusted.0 }),
            None => trusted,
        };
        let upstream_ca = at.list(
            &names::UPSTREAM_CA,
            given.upstream_ca,
            proxy.upstream_ca.map(|list| list.into_iter().map(beside).collect()),
        );
        let mcp_trust = at.list(&names::MCP_TRUST, Vec::new(), content.mcp.trust);
        at.tables("rule", content.rule.iter().map(proxy::Rule::name));
        at.tables("route", content.route.iter().map(Route::name).map(Some));

        let settings = at.settings;
        let path = file.map(|file| file.path.clone());
        let config = Self {
            file: path,
            database,
            addr,
            proxy_addr: enabled.then_some(proxy_addr),
            max_request: max_request.0,
            proxy: proxy::Settings {
                pass,
                reads_table,
                keyed_table,
                rules: content.rule,
                routes: content.route,
            },
            intercept,
            upstream_ca: upstream_ca.into_iter().map(|trusted| trusted.0).collect(),
            mcp_trust,
            refuse_loopback,
            refuse_private,
            connect_ports: connect_ports.into_iter().map(NonZeroU16::get).collect(),
            upstream_proxy: upstream_proxy.map(|hop| {
                Chain::new(Some(hop.clone()), Some(hop), &upstream_direct.unwrap_or_default())
            }),
            token,
            require_token,
            allow_host,
            allow_origin,
            log_format,
            max_page_count: given.max_page_count,
            drain: drain.0,
            max_wait: max_wait.0,
            settings,
        };
        config.check_doors()?;
        Ok(config)
    }
}

impl Config {
    fn check_doors(&self) -> anyhow::Result<()> {
        if !is_loopback(self.addr) {
            let Some(token) = &self.token else {
                bail!(
                    "--addr {} can be reached by other machines: set a token with --token or {}",
                    self.addr,
                    env::TOKEN
                );
            };
            if token.reveal().len() < SHORTEST_TOKEN {
                bail!(
                    "--addr {} can be reached by other machines, and the token could be guessed: \
                     it takes {SHORTEST_TOKEN} characters or more, as of `openssl rand -hex 32`",
                    self.addr
                );
            }
        }
        if let Some(addr) = self.proxy_addr
            && !is_loopback(addr)
            && !self.require_token
        {
            bail!("--proxy-addr {addr} can be reached by other machines: add --require-token");
        }
        Ok(())
    }
}

fn is_loopback(addr: SocketAddr) -> bool {
    addr.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests;
