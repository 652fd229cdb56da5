use std::path::Path;

use serde::Serialize;

use crate::config::{Config, Flags};
use crate::exit::ExitStatus;
use crate::printer::Printer;

/// Check the configuration, or show each setting with where it comes from
///
/// Flags override the environment, which overrides the file, which overrides the defaults.
/// docs/RULES.md describes the file. A running server reads it again on SIGHUP.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine config check
  openclaw-state-engine config check --config engine.toml
  openclaw-state-engine config show --json")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigVerb {
    /// Check whether the server would accept the configuration: 0 yes, 1 no
    #[command(after_help = "\
Examples:
  openclaw-state-engine config check
  openclaw-state-engine config check --config engine.toml --json")]
    Check(Box<Flags>),
    /// Show each setting with where it comes from
    #[command(after_help = "\
Examples:
  openclaw-state-engine config show
  openclaw-state-engine config show --config engine.toml --json")]
    Show(Box<Flags>),
}

#[derive(Serialize)]
struct Checked<'a> {
    fine: bool,
    file: Option<&'a Path>,
    rules: usize,
    routes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) fn run(args: Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    match args.verb {
        ConfigVerb::Check(flags) => check(*flags, printer),
        ConfigVerb::Show(flags) => show(*flags, printer),
    }
}

fn check(flags: Flags, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let config = match Config::try_from(flags) {
        Ok(config) => config,
        Err(error) if printer.json() => {
            let error = Some(format!("{error:#}"));
            printer.document(&Checked { fine: false, file: None, rules: 0, routes: 0, error })?;
            return Ok(ExitStatus::No);
        }
        Err(error) => {
            printer.note(format_args!("{error:#}"));
            return Ok(ExitStatus::No);
        }
    };
    let (rules, routes) = (config.proxy.calls.rules.len(), config.proxy.calls.routes.len());
    let file = config.file.as_deref();
    if printer.json() {
        printer.document(&Checked { fine: true, file, rules, routes, error: None })?;
    } else if let Some(file) = file {
        printer.line(format_args!("{}: valid, {rules} rules, {routes} routes", file.display()))?;
    } else {
        printer.line("no configuration file: defaults, environment and flags apply")?;
    }
    Ok(ExitStatus::Done)
}

fn show(flags: Flags, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let config = Config::try_from(flags)?;
    if printer.json() {
        for setting in &config.listed {
            printer.json_line(setting)?;
        }
        return Ok(ExitStatus::Done);
    }
    let rows = config.listed.into_iter();
    let rows = rows.map(|setting| vec![setting.name, setting.value, setting.from]).collect();
    printer.table(&["SETTING", "VALUE", "FROM"], rows)?;
    Ok(ExitStatus::Done)
}
