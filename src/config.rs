//! What the engine runs with: defaults, then the environment, then flags; the later wins.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::builder::BoolishValueParser;
use etcetera::BaseStrategy as _;
use proxy::{Chain, HostPattern, Hop, UpstreamCa};

/// The name of each setting in the environment.
pub(crate) mod env {
    pub(crate) const DATABASE: &str = "STATE_ENGINE_DATABASE";
    pub(crate) const ADDR: &str = "STATE_ENGINE_ADDR";
    pub(crate) const PROXY_ADDR: &str = "STATE_ENGINE_PROXY_ADDR";
    pub(crate) const NO_PROXY: &str = "STATE_ENGINE_NO_PROXY";
    pub(crate) const MAX_REQUEST: &str = "STATE_ENGINE_MAX_REQUEST";
    pub(crate) const PASS: &str = "STATE_ENGINE_PASS";
    pub(crate) const INTERCEPT: &str = "STATE_ENGINE_INTERCEPT";
    pub(crate) const UPSTREAM_CA: &str = "STATE_ENGINE_UPSTREAM_CA";
    pub(crate) const TOKEN: &str = "STATE_ENGINE_TOKEN";
    pub(crate) const REQUIRE_TOKEN: &str = "STATE_ENGINE_REQUIRE_TOKEN";
    pub(crate) const UPSTREAM_PROXY: &str = "STATE_ENGINE_UPSTREAM_PROXY";
    pub(crate) const UPSTREAM_DIRECT: &str = "STATE_ENGINE_UPSTREAM_DIRECT";
    pub(crate) const ALLOW_HOST: &str = "STATE_ENGINE_ALLOW_HOST";
    pub(crate) const ALLOW_ORIGIN: &str = "STATE_ENGINE_ALLOW_ORIGIN";
    pub(crate) const DRAIN: &str = "STATE_ENGINE_DRAIN";
    pub(crate) const MAX_WAIT: &str = "STATE_ENGINE_MAX_WAIT";
    pub(crate) const LOG_FORMAT: &str = "STATE_ENGINE_LOG_FORMAT";
    /// Levels, in the syntax of `RUST_LOG`, which is read where this is absent.
    pub(crate) const LOG: &str = "STATE_ENGINE_LOG";
}

/// Which store a verb means, and how it shows itself to the server that owns it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// The database file [default: openclaw-state-engine/state.db in the user's data folder]
    #[arg(long, value_name = "FILE", env = env::DATABASE)]
    database: Option<PathBuf>,

    /// The bearer token of the state API; safer in the environment, since other users see flags
    #[arg(long, env = env::TOKEN, hide_env_values = true)]
    token: Option<Secret>,
}

impl Place {
    /// The database file; it need not be there.
    pub(crate) fn database(&self) -> anyhow::Result<PathBuf> {
        if let Some(database) = &self.database {
            return Ok(database.clone());
        }
        let folders = etcetera::choose_base_strategy()
            .context("the user's data folder is not known; name a file with --database")?;
        Ok(folders.data_dir().join("openclaw-state-engine").join("state.db"))
    }

    /// The token of the state API.
    pub(crate) fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }
}

/// The flags of `serve`; each doc comment is its reference.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    place: Place,

    /// Where the state API listens; beyond the loopback only with --token
    #[arg(long, value_name = "IP:PORT", env = env::ADDR, default_value = "127.0.0.1:3030")]
    addr: SocketAddr,

    /// Where the proxy listens; beyond the loopback only with --require-token
    #[arg(long, value_name = "IP:PORT", env = env::PROXY_ADDR, default_value = "127.0.0.1:3031")]
    proxy_addr: SocketAddr,

    /// Serve the state API alone
    #[arg(long, env = env::NO_PROXY, value_parser = BoolishValueParser::new())]
    no_proxy: bool,

    /// The largest request body that the proxy takes: bytes, or 16MiB, 1GiB
    #[arg(long, value_name = "SIZE", env = env::MAX_REQUEST, default_value = "256MiB")]
    max_request: Size,

    /// A host whose calls are audited and never keyed, a local model server, say; repeatable
    #[arg(long, value_name = "HOST[:PORT]", env = env::PASS, value_delimiter = ',')]
    pass: Vec<HostPattern>,

    /// A host (or *.HOST) whose TLS the proxy opens, so that its calls are guarded; its clients must
    /// trust the CA that `ca export` prints; repeatable
    #[arg(long, value_name = "HOST[:PORT]", env = env::INTERCEPT, value_delimiter = ',')]
    intercept: Vec<HostPattern>,

    /// A file of CA certificates that upstreams may be verified by, besides the system's; with HOST=
    /// for that host alone; repeatable
    #[arg(
        long,
        value_name = "[HOST=]FILE",
        env = env::UPSTREAM_CA,
        value_delimiter = ',',
        value_parser = upstream_ca
    )]
    upstream_ca: Vec<UpstreamCa>,

    /// The proxy takes only calls with credentials SESSION:TOKEN; `token SESSION` prints one
    #[arg(long, env = env::REQUIRE_TOKEN, value_parser = BoolishValueParser::new())]
    require_token: bool,

    /// The proxy that calls go out through: http://[USER:PASSWORD@]HOST:PORT
    #[arg(long, value_name = "URL", env = env::UPSTREAM_PROXY, hide_env_values = true)]
    upstream_proxy: Option<Hop>,

    /// Hosts that are reached without --upstream-proxy, in the form of NO_PROXY
    #[arg(long, value_name = "HOSTS", env = env::UPSTREAM_DIRECT, requires = "upstream_proxy")]
    upstream_direct: Option<String>,

    /// A further Host that the state API answers to, besides the loopback's names; repeatable
    #[arg(long, value_name = "HOST[:PORT]", env = env::ALLOW_HOST, value_delimiter = ',')]
    allow_host: Vec<String>,

    /// A web origin whose pages may use the state API (`null`: a page opened as a file); repeatable
    #[arg(long, value_name = "ORIGIN", env = env::ALLOW_ORIGIN, value_delimiter = ',')]
    allow_origin: Vec<String>,

    /// How the log is written to stderr
    #[arg(long, value_name = "FORMAT", env = env::LOG_FORMAT, value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,

    /// A cap on the database in pages, to test a full disk
    #[arg(long, hide = true)]
    max_page_count: Option<u64>,

    /// How long running calls get at a stop
    #[arg(long, hide = true, env = env::DRAIN, default_value = "30s")]
    drain: Seconds,

    /// How long a duplicate of a running call waits for its answer
    #[arg(long, hide = true, env = env::MAX_WAIT, default_value = "300s")]
    max_wait: Seconds,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Human,
    /// One JSON object a line
    Json,
}

/// What the server runs with, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) database: PathBuf,
    pub(crate) addr: SocketAddr,
    /// `None`: no proxy.
    pub(crate) proxy_addr: Option<SocketAddr>,
    /// In bytes.
    pub(crate) max_request: u64,
    pub(crate) pass: Vec<HostPattern>,
    pub(crate) intercept: Vec<HostPattern>,
    pub(crate) upstream_ca: Vec<UpstreamCa>,
    pub(crate) token: Option<Secret>,
    pub(crate) require_token: bool,
    pub(crate) upstream_proxy: Option<Chain>,
    pub(crate) allow_host: Vec<String>,
    pub(crate) allow_origin: Vec<String>,
    pub(crate) max_page_count: Option<u64>,
    pub(crate) drain: Duration,
    pub(crate) max_wait: Duration,
}

impl TryFrom<Flags> for Config {
    type Error = anyhow::Error;

    /// Refuses what would open a door to others without a key to it. Touches no file and no port.
    fn try_from(flags: Flags) -> anyhow::Result<Self> {
        if !is_loopback(flags.addr) && flags.place.token.is_none() {
            bail!(
                "--addr {} can be reached by other machines: set a token with --token or {}",
                flags.addr,
                env::TOKEN
            );
        }
        let proxy_addr = (!flags.no_proxy).then_some(flags.proxy_addr);
        if let Some(addr) = proxy_addr
            && !is_loopback(addr)
            && !flags.require_token
        {
            bail!("--proxy-addr {addr} can be reached by other machines: add --require-token");
        }
        Ok(Self {
            database: flags.place.database()?,
            addr: flags.addr,
            proxy_addr,
            max_request: flags.max_request.0,
            pass: flags.pass,
            intercept: flags.intercept,
            upstream_ca: flags.upstream_ca,
            token: flags.place.token,
            require_token: flags.require_token,
            upstream_proxy: flags.upstream_proxy.map(|hop| {
                let direct = flags.upstream_direct.as_deref().unwrap_or_default();
                Chain::new(Some(hop.clone()), Some(hop), direct)
            }),
            allow_host: flags.allow_host,
            allow_origin: flags.allow_origin,
            max_page_count: flags.max_page_count,
            drain: flags.drain.0,
            max_wait: flags.max_wait.0,
        })
    }
}

fn is_loopback(addr: SocketAddr) -> bool {
    addr.ip().to_canonical().is_loopback()
}

/// `[HOST=]FILE`.
fn upstream_ca(text: &str) -> Result<UpstreamCa, String> {
    let (hosts, file) = match text.split_once('=') {
        Some((host, file)) => (Some(host.parse()?), file),
        None => (None, text),
    };
    if file.is_empty() {
        return Err("write FILE or HOST=FILE".to_owned());
    }
    Ok(UpstreamCa { hosts, file: file.into() })
}

/// A text that no log and no error may show.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a token is one or more printable ASCII characters, no spaces".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size(u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit: u64 = match &text[digits.len()..] {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            other => return Err(format!("the unit {other:?} is none of B, KiB, MiB, GiB")),
        };
        let number: u64 = digits.parse().map_err(|_| "write bytes, or 16MiB, 1GiB".to_owned())?;
        number.checked_mul(unit).map(Self).ok_or_else(|| "too large".to_owned())
    }
}

/// A time as `30s` or `30`.
#[derive(Debug, Clone, Copy)]
struct Seconds(Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('s').unwrap_or(text).parse();
        number.map(|seconds| Self(Duration::from_secs(seconds))).map_err(|_| "write 30s".to_owned())
    }
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

    #[test]
    fn defaults_are_the_documented_ones() {
        let config = config(&[]).unwrap();
        assert_eq!(config.addr, "127.0.0.1:3030".parse().unwrap());
        assert_eq!(config.proxy_addr, Some("127.0.0.1:3031".parse().unwrap()));
        assert_eq!(config.max_request, 268_435_456);
        assert_eq!(config.drain, Duration::from_secs(30));
        assert!(!config.require_token && config.token.is_none() && config.pass.is_empty());
    }

    #[test]
    fn doors_beyond_the_loopback_need_their_keys() {
        let refused = |flags: &[&str]| config(flags).unwrap_err().to_string();
        assert!(refused(&["--addr", "0.0.0.0:3030"]).contains("--token"));
        assert!(refused(&["--addr", "[::]:3030"]).contains("--token"));
        assert!(refused(&["--proxy-addr", "192.0.2.1:1"]).contains("--require-token"));
        assert!(config(&["--addr", "0.0.0.0:3030", "--token", "t"]).is_ok());
        assert!(config(&["--addr", "[::ffff:127.0.0.1]:3030"]).is_ok());
        assert!(config(&["--proxy-addr", "192.0.2.1:1", "--require-token"]).is_ok());
        assert!(config(&["--proxy-addr", "192.0.2.1:1", "--no-proxy"]).is_ok());
    }

    #[test]
    fn sizes() {
        let size = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("1000"), Ok(1000));
        assert_eq!(size("16MiB"), Ok(16 * 1024 * 1024));
        assert_eq!(size("1GiB"), Ok(1024 * 1024 * 1024));
        for bad in [
            "",
            "MiB",
            "1MB",
            "1 MiB",
            "-1",
            "1.5GiB",
            "99999999999999999999",
            "18446744073709551615KiB",
        ] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_shows_nothing() {
        let secret: Secret = "hunter2".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert!("".parse::<Secret>().is_err());
        assert!("a\nb".parse::<Secret>().is_err());
    }
}
