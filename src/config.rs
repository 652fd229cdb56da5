//! What the engine runs with: defaults, then the file, then the environment, then flags; the later
//! wins.

mod file;
mod flags;
mod layers;
mod values;

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use proxy::{Chain, HostPattern, Route, UpstreamCa};

pub(crate) use self::flags::{Flags, Place};
pub(crate) use self::layers::Setting;
use self::layers::{Layers, Named};
use self::values::TrustedCa;
pub(crate) use self::values::{LogFormat, Secret};

/// The name of each setting in the environment.
pub(crate) mod env {
    pub(crate) const CONFIG: &str = "STATE_ENGINE_CONFIG";
    pub(crate) const DATABASE: &str = "STATE_ENGINE_DATABASE";
    pub(crate) const ADDR: &str = "STATE_ENGINE_ADDR";
    pub(crate) const PROXY_ADDR: &str = "STATE_ENGINE_PROXY_ADDR";
    pub(crate) const NO_PROXY: &str = "STATE_ENGINE_NO_PROXY";
    pub(crate) const MAX_REQUEST: &str = "STATE_ENGINE_MAX_REQUEST";
    pub(crate) const PASS: &str = "STATE_ENGINE_PASS";
    pub(crate) const INTERCEPT: &str = "STATE_ENGINE_INTERCEPT";
    pub(crate) const UPSTREAM_CA: &str = "STATE_ENGINE_UPSTREAM_CA";
    pub(crate) const UPSTREAM_PROXY: &str = "STATE_ENGINE_UPSTREAM_PROXY";
    pub(crate) const UPSTREAM_DIRECT: &str = "STATE_ENGINE_UPSTREAM_DIRECT";
    pub(crate) const TOKEN: &str = "STATE_ENGINE_TOKEN";
    pub(crate) const REQUIRE_TOKEN: &str = "STATE_ENGINE_REQUIRE_TOKEN";
    pub(crate) const ALLOW_HOST: &str = "STATE_ENGINE_ALLOW_HOST";
    pub(crate) const ALLOW_ORIGIN: &str = "STATE_ENGINE_ALLOW_ORIGIN";
    pub(crate) const DRAIN: &str = "STATE_ENGINE_DRAIN";
    pub(crate) const MAX_WAIT: &str = "STATE_ENGINE_MAX_WAIT";
    /// Set by `run` for the program that it runs.
    pub(crate) const URL: &str = "STATE_ENGINE_URL";
    /// As [`URL`].
    pub(crate) const SESSION: &str = "STATE_ENGINE_SESSION";
    /// As [`URL`].
    pub(crate) const RUN: &str = "STATE_ENGINE_RUN";
    pub(crate) const LOG_FORMAT: &str = "STATE_ENGINE_LOG_FORMAT";
    /// Levels, in the syntax of `RUST_LOG`, which is read where this is absent.
    pub(crate) const LOG: &str = "STATE_ENGINE_LOG";
}

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
    &["proxy.pass", "proxy.reads_table", "proxy.keyed_table", "rule.", "route."];

impl Config {
    /// The names of settings that differ from those of `running`, and take a new start.
    pub(crate) fn needs_restart<'a>(&'a self, running: &Self) -> Vec<&'a str> {
        let differs = |setting: &&Setting| {
            let same = |other: &Setting| other.name == setting.name && other.value == setting.value;
            !RELOADED.iter().any(|name| setting.name.starts_with(name))
                && !running.settings.iter().any(same)
        };
        self.settings.iter().filter(differs).map(|setting| setting.name.as_str()).collect()
    }
}

const fn named(name: &'static str, id: &'static str, variable: &'static str) -> Named {
    Named { name, id, variable }
}

/// A setting of the file alone.
const fn in_file(name: &'static str) -> Named {
    named(name, "", "")
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

        let addr = at.one(
            &named("server.addr", "addr", env::ADDR),
            Some(given.addr),
            server.addr,
            given.addr,
        );
        let shown = database.display().to_string();
        let in_file_shown = server.database.is_some().then(|| shown.clone());
        at.one(
            &named("server.database", "database", env::DATABASE),
            Some(shown.clone()),
            in_file_shown,
            shown,
        );
        let token = at.optional(
            &named("server.token", "token", env::TOKEN),
            given.place.token.clone(),
            server.token,
            None,
        );
        let allow_host = at.list(
            &named("server.allow_host", "allow_host", env::ALLOW_HOST),
            given.allow_host,
            server.allow_host,
        );
        let allow_origin = at.list(
            &named("server.allow_origin", "allow_origin", env::ALLOW_ORIGIN),
            given.allow_origin,
            server.allow_origin,
        );
        let log_format = at.one(
            &named("server.log_format", "log_format", env::LOG_FORMAT),
            Some(given.log_format),
            server.log_format,
            given.log_format,
        );
        let drain = at.one(
            &named("server.drain", "drain", env::DRAIN),
            Some(given.drain),
            server.drain,
            given.drain,
        );
        let enabled = at.one(
            &named("proxy.enabled", "no_proxy", env::NO_PROXY),
            Some(!given.no_proxy),
            proxy.enabled,
            true,
        );
        let proxy_addr = at.one(
            &named("proxy.addr", "proxy_addr", env::PROXY_ADDR),
            Some(given.proxy_addr),
            proxy.addr,
            given.proxy_addr,
        );
        let max_request = at.one(
            &named("proxy.max_request", "max_request", env::MAX_REQUEST),
            Some(given.max_request),
            proxy.max_request,
            given.max_request,
        );
        let max_wait = at.one(
            &named("proxy.max_wait", "max_wait", env::MAX_WAIT),
            Some(given.max_wait),
            proxy.max_wait,
            given.max_wait,
        );
        let pass = at.list(&named("proxy.pass", "pass", env::PASS), given.pass, proxy.pass);
        let require_token = at.one(
            &named("proxy.require_token", "require_token", env::REQUIRE_TOKEN),
            Some(given.require_token),
            proxy.require_token,
            false,
        );
        let reads_table = at.one(&in_file("proxy.reads_table"), None, proxy.reads_table, true);
        let keyed_table = at.one(&in_file("proxy.keyed_table"), None, proxy.keyed_table, true);
        let refuse_loopback =
            at.one(&in_file("proxy.refuse_loopback"), None, proxy.refuse_loopback, false);
        let refuse_private =
            at.one(&in_file("proxy.refuse_private"), None, proxy.refuse_private, false);
        let connect_ports =
            at.list(&in_file("proxy.connect_ports"), Vec::new(), proxy.connect_ports);
        let upstream_proxy = at.optional(
            &named("proxy.upstream_proxy", "upstream_proxy", env::UPSTREAM_PROXY),
            given.upstream_proxy,
            proxy.upstream_proxy,
            None,
        );
        let upstream_direct = at.optional(
            &named("proxy.upstream_direct", "upstream_direct", env::UPSTREAM_DIRECT),
            given.upstream_direct,
            proxy.upstream_direct,
            None,
        );
        let intercept = at.list(
            &named("proxy.intercept.hosts", "intercept", env::INTERCEPT),
            given.intercept,
            proxy.intercept.hosts,
        );
        let beside = |trusted: TrustedCa| match file {
            Some(file) => TrustedCa(UpstreamCa { file: file.beside(&trusted.0.file), ..trusted.0 }),
            None => trusted,
        };
        let upstream_ca = at.list(
            &named("proxy.upstream_ca", "upstream_ca", env::UPSTREAM_CA),
            given.upstream_ca,
            proxy.upstream_ca.map(|list| list.into_iter().map(beside).collect()),
        );
        let mcp_trust = at.list(&in_file("mcp.trust"), Vec::new(), content.mcp.trust);
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
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    fn config(flags: &[&str]) -> anyhow::Result<Config> {
        let line = ["serve", "--database", "x.db"].iter().chain(flags);
        Config::try_from(Line::try_parse_from(line)?.flags)
    }

    fn from<'a>(config: &'a Config, name: &str) -> (&'a str, &'a str) {
        let setting = config.settings.iter().find(|setting| setting.name == name).unwrap();
        (&setting.value, &setting.from)
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let config = config(&[]).unwrap();
        assert_eq!(config.addr, "127.0.0.1:3030".parse().unwrap());
        assert_eq!(config.proxy_addr, Some("127.0.0.1:3031".parse().unwrap()));
        assert_eq!(config.max_request, 268_435_456);
        assert_eq!(config.drain, Duration::from_secs(30));
        assert_eq!(config.proxy, proxy::Settings::default());
        assert!(!config.require_token && config.token.is_none());
        assert_eq!(from(&config, "proxy.max_request"), ("256MiB", "default"));
        assert_eq!(from(&config, "server.database"), ("x.db", "--database"));
    }

    #[test]
    fn doors_beyond_the_loopback_need_their_keys() {
        let refused = |flags: &[&str]| config(flags).unwrap_err().to_string();
        assert!(refused(&["--addr", "0.0.0.0:3030"]).contains("--token"));
        assert!(refused(&["--addr", "[::]:3030"]).contains("--token"));
        assert!(refused(&["--proxy-addr", "192.0.2.1:1"]).contains("--require-token"));
        let short = refused(&["--addr", "0.0.0.0:3030", "--token", "hunter2"]);
        assert!(short.contains("32 characters") && !short.contains("hunter2"), "{short}");
        let token = "t".repeat(SHORTEST_TOKEN);
        assert!(config(&["--addr", "0.0.0.0:3030", "--token", &token]).is_ok());
        assert!(config(&["--token", "t"]).is_ok());
        assert!(config(&["--addr", "[::ffff:127.0.0.1]:3030"]).is_ok());
        assert!(config(&["--proxy-addr", "192.0.2.1:1", "--require-token"]).is_ok());
        assert!(config(&["--proxy-addr", "192.0.2.1:1", "--no-proxy"]).is_ok());
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        let text = "[server]\naddr = \"127.0.0.1:1\"\ndrain = 5\ndatabase = \"own.db\"\n[proxy]\n\
                    addr = \"127.0.0.1:2\"\npass = [\"a\"]\nrequire_token = true\n[[rule]]\n\
                    name = \"r\"\n";
        std::fs::write(&path, text).unwrap();
        let file = path.to_str().unwrap();
        let line = ["serve", "--config", file, "--proxy-addr", "127.0.0.1:3", "--pass", "b,c"];
        let config = Config::try_from(Line::parse_from(line).flags).unwrap();
        assert_eq!(config.addr.port(), 1);
        assert_eq!(config.proxy_addr.unwrap().port(), 3);
        assert_eq!(config.database, folder.path().join("own.db"));
        assert!(config.require_token);
        assert_eq!(from(&config, "server.drain"), ("5s", format!("{file}:3").as_str()));
        assert_eq!(from(&config, "proxy.addr"), ("127.0.0.1:3", "--proxy-addr"));
        assert_eq!(from(&config, "proxy.pass"), ("b, c", "--pass"));
        assert_eq!(from(&config, "proxy.require_token"), ("true", format!("{file}:8").as_str()));
        assert_eq!(from(&config, "rule.1"), ("r", format!("{file}:9").as_str()));

        std::fs::write(&path, text.replace("127.0.0.1:1", "127.0.0.1:9").replace("\"r\"", "\"s\""))
            .unwrap();
        let changed = Config::try_from(Line::parse_from(line).flags).unwrap();
        assert_eq!(changed.needs_restart(&config), ["server.addr"]);
    }

    #[test]
    fn a_token_in_a_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, "[server]\ntoken = \"hunter2\"\n").unwrap();
        let read = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            config(&["--config", path.to_str().unwrap()])
        };
        let told = read(0o644).unwrap_err().to_string();
        assert!(told.contains("chmod 600") && !told.contains("hunter2"), "{told}");
        let config = read(0o600).unwrap();
        assert_eq!(config.token.as_ref().unwrap().reveal(), "hunter2");
        assert_eq!(from(&config, "server.token").0, "[redacted]");
    }
}
