//! What the command line and the environment say.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::Context as _;
use clap::builder::BoolishValueParser;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use etcetera::BaseStrategy as _;
use proxy::{Hop, HostPattern};

use super::env;
use super::file::File;
use super::layers::Sources;
use super::values::{LogFormat, Seconds, Secret, Size, TrustedCa};

/// Which store a verb means, and how it shows itself to the server that owns it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// The configuration file [default: openclaw-state-engine.toml here, else in the user's config
    /// folder]
    #[arg(long, value_name = "FILE", env = env::CONFIG)]
    pub(super) config: Option<PathBuf>,

    /// The database file [default: openclaw-state-engine/state.db in the user's data folder]
    #[arg(long, value_name = "FILE", env = env::DATABASE)]
    pub(super) database: Option<PathBuf>,

    /// The bearer token of the state API; safer in the environment, since other users see flags
    #[arg(long, env = env::TOKEN, hide_env_values = true)]
    pub(super) token: Option<Secret>,

    #[arg(skip)]
    file: OnceLock<Option<File>>,
}

impl Place {
    /// The configuration file, where there is one; read once.
    pub(crate) fn file(&self) -> anyhow::Result<Option<&File>> {
        if self.file.get().is_none() {
            let _ = self.file.set(File::find(self.config.as_deref())?);
        }
        Ok(self.file.get().and_then(Option::as_ref))
    }

    /// The database file; it need not be there.
    pub(crate) fn database(&self) -> anyhow::Result<PathBuf> {
        if let Some(database) = &self.database {
            return Ok(database.clone());
        }
        if let Some(database) = self.file()?.and_then(database_of) {
            return Ok(database);
        }
        let folders = etcetera::choose_base_strategy()
            .context("the user's data folder is not known; name a file with --database")?;
        Ok(folders.data_dir().join("openclaw-state-engine").join("state.db"))
    }

    /// The token of the state API.
    pub(crate) fn token(&self) -> Option<&Secret> {
        let in_file = || self.file().ok()?.and_then(|file| file.content.server.token.as_ref());
        self.token.as_ref().or_else(in_file)
    }

    /// The hosts that the file has intercepted.
    pub(crate) fn intercepted(&self) -> anyhow::Result<Vec<HostPattern>> {
        let hosts = self.file()?.and_then(|file| file.content.proxy.intercept.hosts.clone());
        Ok(hosts.unwrap_or_default())
    }

    /// The file that was named.
    pub(crate) fn named_file(&self) -> Option<&std::path::Path> {
        self.config.as_deref()
    }

    /// Forgets the file, so that it is read again.
    pub(super) fn reread(&mut self) {
        self.file = OnceLock::new();
    }
}

/// The database that a file names.
pub(super) fn database_of(file: &File) -> Option<PathBuf> {
    file.content.server.database.as_ref().map(|path| file.beside(path))
}

/// The flags of `serve`; each doc comment is its reference.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Given {
    #[command(flatten)]
    pub(super) place: Place,

    /// Where the state API listens; beyond the loopback only with --token
    #[arg(long, value_name = "IP:PORT", env = env::ADDR, default_value = "127.0.0.1:3030")]
    pub(super) addr: SocketAddr,

    /// Where the proxy listens; beyond the loopback only with --require-token
    #[arg(long, value_name = "IP:PORT", env = env::PROXY_ADDR, default_value = "127.0.0.1:3031")]
    pub(super) proxy_addr: SocketAddr,

    /// Serve the state API alone
    #[arg(long, env = env::NO_PROXY, value_parser = BoolishValueParser::new())]
    pub(super) no_proxy: bool,

    /// The largest request body that the proxy takes: bytes, or 16MiB, 1GiB
    #[arg(long, value_name = "SIZE", env = env::MAX_REQUEST, default_value = "256MiB")]
    pub(super) max_request: Size,

    /// A host whose calls are audited and never keyed, a local model server, say; repeatable
    #[arg(long, value_name = "HOST[:PORT]", env = env::PASS, value_delimiter = ',')]
    pub(super) pass: Vec<HostPattern>,

    /// A host (or *.HOST) whose TLS the proxy opens, so that its calls are guarded; its clients must
    /// trust the CA that `ca export` prints; repeatable
    #[arg(long, value_name = "HOST[:PORT]", env = env::INTERCEPT, value_delimiter = ',')]
    pub(super) intercept: Vec<HostPattern>,

    /// A file of CA certificates that upstreams may be verified by, besides the system's; with HOST=
    /// for that host alone; repeatable
    #[arg(long, value_name = "[HOST=]FILE", env = env::UPSTREAM_CA, value_delimiter = ',')]
    pub(super) upstream_ca: Vec<TrustedCa>,

    /// The proxy takes only calls with credentials SESSION:TOKEN; `token SESSION` prints one
    #[arg(long, env = env::REQUIRE_TOKEN, value_parser = BoolishValueParser::new())]
    pub(super) require_token: bool,

    /// The proxy that calls go out through: `http://[USER:PASSWORD@]HOST:PORT`
    #[arg(long, value_name = "URL", env = env::UPSTREAM_PROXY, hide_env_values = true)]
    pub(super) upstream_proxy: Option<Hop>,

    /// Hosts that are reached without --upstream-proxy, in the form of `NO_PROXY`
    #[arg(long, value_name = "HOSTS", env = env::UPSTREAM_DIRECT)]
    pub(super) upstream_direct: Option<String>,

    /// A further Host that the state API answers to, besides the loopback's names; repeatable
    #[arg(long, value_name = "HOST[:PORT]", env = env::ALLOW_HOST, value_delimiter = ',')]
    pub(super) allow_host: Vec<String>,

    /// A web origin whose pages may use the state API (`null`: a page opened as a file); repeatable
    #[arg(long, value_name = "ORIGIN", env = env::ALLOW_ORIGIN, value_delimiter = ',')]
    pub(super) allow_origin: Vec<String>,

    /// How the log is written to stderr
    #[arg(long, value_name = "FORMAT", env = env::LOG_FORMAT, value_enum, default_value_t)]
    pub(super) log_format: LogFormat,

    /// A cap on the database in pages, to test a full disk
    #[arg(long, hide = true)]
    pub(super) max_page_count: Option<u64>,

    /// How long running calls get at a stop
    #[arg(long, value_name = "SECONDS", env = env::DRAIN, default_value = "30s")]
    pub(super) drain: Seconds,

    /// How long a duplicate of a running call waits for its answer
    #[arg(long, value_name = "SECONDS", env = env::MAX_WAIT, default_value = "300s")]
    pub(super) max_wait: Seconds,
}

/// The flags of `serve`, and where each comes from.
#[derive(Debug, Clone)]
pub(crate) struct Flags {
    pub(super) given: Given,
    pub(super) sources: Sources,
}

impl Flags {
    /// The same flags, with the file to be read again.
    pub(crate) fn reread(&self) -> Self {
        let mut again = self.clone();
        again.given.place.reread();
        again
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        let sources = Sources::of(matches);
        Ok(Self { given: Given::from_arg_matches_mut(matches)?, sources })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        Given::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Given::augment_args_for_update(command)
    }
}
