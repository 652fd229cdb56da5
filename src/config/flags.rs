//! The command line and the environment: the flags that `settings.rs` declares.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Context as _;
use clap::builder::{BoolishValueParser, PossibleValue, PossibleValuesParser};
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use etcetera::BaseStrategy as _;
use proxy::HostPattern;
use store::Reader;

use super::file::File;
use super::setting::{Declared, Flag, ValueForm};
use super::settings::{ALL, CONFIG, DATABASE, INTERCEPT, TOKEN};
use super::values::Token;

/// The store that a command targets, and the token for the server that owns it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    config: Option<PathBuf>,
    database: Option<PathBuf>,
    token: Option<Token>,
    file: OnceLock<Option<File>>,
}

impl Target {
    /// The configuration file, if there is one; read once.
    pub(crate) fn file(&self) -> anyhow::Result<Option<&File>> {
        if self.file.get().is_none() {
            let _ = self.file.set(File::find(self.config.as_deref())?);
        }
        Ok(self.file.get().and_then(Option::as_ref))
    }

    /// The database file, which may not exist: without links, and by the name by which its engine has it open.
    pub(crate) fn database(&self) -> anyhow::Result<PathBuf> {
        Ok(Reader::database_path(&self.named_database()?))
    }

    /// The database file, as it is named.
    pub(super) fn named_database(&self) -> anyhow::Result<PathBuf> {
        if let Some(database) = &self.database {
            return Ok(database.clone());
        }
        if let Some(database) = self.file()?.and_then(|file| file.one(&DATABASE)) {
            return Ok(database.0);
        }
        let folders = etcetera::choose_base_strategy()
            .context("the user's data folder is unknown: name a file with --database")?;
        Ok(folders.data_dir().join("openclaw-state-engine").join("state.db"))
    }

    /// The token of the state API.
    pub(crate) fn token(&self) -> Option<Token> {
        self.token.clone().or_else(|| self.file().ok()??.one(&TOKEN))
    }

    /// The hosts to intercept, by the file.
    pub(crate) fn intercepted(&self) -> anyhow::Result<Vec<HostPattern>> {
        Ok(self.file()?.map(|file| file.list(&INTERCEPT)).unwrap_or_default())
    }

    /// The configuration file that was named.
    pub(crate) fn named_file(&self) -> Option<&Path> {
        self.config.as_deref()
    }
}

impl FromArgMatches for Target {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let path = |id| matches.get_one::<PathBuf>(id).cloned();
        let token = matches.get_one::<String>("token");
        Ok(Self {
            config: path("config"),
            database: path("database"),
            token: token.and_then(|token| token.parse().ok()),
            file: OnceLock::new(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Target {
    fn augment_args(command: Command) -> Command {
        let declared = [&CONFIG.declared, &DATABASE.declared, &TOKEN.declared];
        command.args(declared.into_iter().filter_map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The flags and variables of `serve`.
#[derive(Debug, Clone)]
pub(crate) struct Flags {
    pub(super) target: Target,
    pub(super) written: Vec<FlagValue>,
    pub(super) store_limits: StoreLimits,
}

/// Limits of the store that only tests set, by flags that no help shows.
#[derive(Debug, Clone)]
pub(crate) struct StoreLimits {
    /// A cap on the database in pages, to test a full disk.
    pub(crate) max_page_count: Option<u64>,
    /// The size of the write-ahead log at which new calls are refused, in bytes.
    pub(crate) max_log: Option<u64>,
    /// How many seconds the start waits for other programs.
    pub(crate) wait_for_others: Option<u64>,
}

/// The flags of [`StoreLimits`].
const STORE_LIMITS: [&str; 3] = ["max-page-count", "max-log", "wait-for-others"];

/// The value of a setting on the command line or in the environment.
#[derive(Clone)]
pub(super) struct FlagValue {
    pub(super) setting: &'static str,
    /// As written; one text if the setting is not a list.
    pub(super) texts: Vec<String>,
    /// The flag or the variable.
    pub(super) by: String,
}

/// Shows no values: one may be a secret.
impl fmt::Debug for FlagValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.setting, self.by)
    }
}

impl FlagValue {
    fn new(declared: &Declared, matches: &ArgMatches) -> Option<Self> {
        let flag = declared.flag?;
        let by = match matches.value_source(flag.name)? {
            ValueSource::CommandLine => format!("--{}", flag.name),
            ValueSource::EnvVariable => flag.variable.to_owned(),
            _ => return None,
        };
        let texts = match declared.form {
            ValueForm::Switch => vec![matches.get_flag(flag.name).to_string()],
            ValueForm::SwitchOff => vec![(!matches.get_flag(flag.name)).to_string()],
            _ => {
                let texts = matches.get_raw(flag.name)?;
                texts.map(|text| text.to_string_lossy().into_owned()).collect()
            }
        };
        Some(Self { setting: declared.name, texts, by })
    }
}

impl StoreLimits {
    fn new(matches: &ArgMatches) -> Self {
        let [max_page_count, max_log, wait_for_others] =
            STORE_LIMITS.map(|name| matches.get_one(name).copied());
        Self { max_page_count, max_log, wait_for_others }
    }
}

impl Flags {
    /// The same flags, which read the file again.
    pub(crate) fn reread(&self) -> Self {
        let mut again = self.clone();
        again.target.file = OnceLock::new();
        again
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            target: Target::from_arg_matches(matches)?,
            written: ALL.iter().filter_map(|declared| FlagValue::new(declared, matches)).collect(),
            store_limits: StoreLimits::new(matches),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let of_target = [DATABASE.declared.name, TOKEN.declared.name];
        let settings = ALL.iter().filter(|declared| !of_target.contains(&declared.name));
        let limit = |name| Arg::new(name).long(name).hide(true).value_parser(value_parser!(u64));
        Target::augment_args(command)
            .args(settings.filter_map(|declared| arg(declared)))
            .args(STORE_LIMITS.map(limit))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The flag of a setting, if it has one.
fn arg(declared: &'static Declared) -> Option<Arg> {
    let Flag { name, value, variable, help_order } = declared.flag?;
    let mut arg = Arg::new(name)
        .long(name)
        .help(declared.help.trim_start())
        .env(variable)
        .hide_env_values(declared.is_secret);
    if let Some(order) = help_order {
        arg = arg.display_order(order);
    }
    if let ValueForm::Switch | ValueForm::SwitchOff = declared.form {
        return Some(arg.action(ArgAction::SetTrue).value_parser(BoolishValueParser::new()));
    }
    arg = arg.value_name(value);
    if declared.is_list {
        arg = arg.action(ArgAction::Append).value_delimiter(',');
    }
    if let Some(default) = declared.default {
        arg = arg.default_value(default);
    }
    Some(match declared.form {
        ValueForm::Path => arg.value_parser(value_parser!(PathBuf)),
        ValueForm::Word(words) => {
            let words = words.iter().map(|(word, help)| PossibleValue::new(*word).help(*help));
            arg.value_parser(PossibleValuesParser::new(words))
        }
        _ => arg.value_parser(|text: &str| {
            (declared.by_type.shown)(text, None).map(|_| text.to_owned())
        }),
    })
}

/// Parses a command line. The error hides the value of a secret, which clap would print, even from
/// the environment.
pub(crate) fn parse<T: clap::Parser>(
    line: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<T, clap::Error> {
    T::try_parse_from(line).map_err(|mut error| {
        let is_secret = |arg: &ContextValue| {
            let arg = arg.to_string();
            let secrets = ALL.iter().filter(|declared| declared.is_secret);
            let mut flags = secrets.filter_map(|declared| declared.flag);
            flags.any(|flag| arg.starts_with(&format!("--{}", flag.name)))
        };
        if error.get(ContextKind::InvalidArg).is_some_and(is_secret) {
            let redacted = ContextValue::String("[redacted]".to_owned());
            error.insert(ContextKind::InvalidValue, redacted);
        }
        error
    })
}
