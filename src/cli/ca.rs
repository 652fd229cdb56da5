use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use proxy::{Ca, CaFacts, HostPattern};
use serde::Serialize;
use store::{private, real_path};

use crate::ca::{self, ActiveCa, CaFiles};
use crate::config::{Target, settings};
use crate::exit::ExitStatus;
use crate::printer::Printer;

/// Create, show or export the CA that signs for intercepted hosts
///
/// Without `ca init` the engine creates one in memory at each start. Either way it may sign only
/// for the intercepted hosts: its certificate says so, and clients enforce it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine ca init --intercept api.example.com --intercept '*.tools.example'
  openclaw-state-engine ca show --json
  openclaw-state-engine ca export engine-ca.pem")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: CaVerb,
}

#[derive(Debug, Subcommand)]
enum CaVerb {
    Init(Init),
    Show(Show),
    Export(Export),
}

/// Create a CA that outlives the engine: ca.pem and ca.key beside the database
///
/// Overwrites nothing, and changes no trust store of the system.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine ca init --intercept api.example.com
  openclaw-state-engine ca init --intercept '*.tools.example' --database agent.db")]
struct Init {
    /// Host that it may sign for; can be repeated [default: the hosts of the configuration file]
    #[arg(long, value_name = "HOST[:PORT]", env = settings::INTERCEPT.variable(), value_delimiter = ',')]
    intercept: Vec<HostPattern>,

    #[command(flatten)]
    target: Target,
}

/// Show which hosts the CA may sign for, and until when
///
/// Shows the CA of a running engine, else the one beside the database. The exit code is 1 if there
/// is none.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine ca show
  openclaw-state-engine ca show --database agent.db --json")]
struct Show {
    #[command(flatten)]
    target: Target,
}

/// Print the CA's certificate in PEM, or write it to a new file
///
/// Uses the CA of a running engine, else the one beside the database. The exit code is 1 if there
/// is none. The key is never printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine ca export > engine-ca.pem
  openclaw-state-engine ca export engine-ca.pem")]
struct Export {
    /// New file for the certificate [default: stdout]
    file: Option<PathBuf>,

    #[command(flatten)]
    target: Target,
}

/// A CA as `ca show` prints it.
#[derive(Debug, Serialize)]
struct CaDescription {
    subject: String,
    sha256: String,
    permitted: Vec<String>,
    excluded: Vec<String>,
    not_before: String,
    not_after: String,
    /// `None` if it is in the memory of a running engine.
    file: Option<String>,
}

pub(super) fn run(args: &Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    match &args.verb {
        CaVerb::Init(args) => init(args, printer),
        CaVerb::Show(args) => show(args, printer),
        CaVerb::Export(args) => export(args, printer),
    }
}

fn init(args: &Init, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let files = CaFiles::beside(&args.target.database()?);
    let hosts = match args.intercept.as_slice() {
        [] => args.target.intercepted()?,
        named => named.to_vec(),
    };
    if hosts.is_empty() {
        bail!("no hosts to sign for: name them with --intercept or in the configuration file");
    }
    let ca = Ca::generate(&hosts)?;
    files.create(&ca)?;
    print(&ActiveCa { pem: ca.pem().to_owned(), file: Some(files.certificate.clone()) }, printer)?;
    printer.note(format_args!(
        "its key is in {}; restart a running engine to use it",
        files.key.display()
    ));
    Ok(ExitStatus::Done)
}

fn show(args: &Show, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let Some(found) = ca::active(&args.target)? else { return Ok(report_no_ca(printer)) };
    print(&found, printer)?;
    Ok(ExitStatus::Done)
}

fn export(args: &Export, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let Some(found) = ca::active(&args.target)? else { return Ok(report_no_ca(printer)) };
    let Some(path) = &args.file else {
        printer.line(found.pem.trim_end())?;
        return Ok(ExitStatus::Done);
    };
    let own = CaFiles::beside(&args.target.database()?);
    if [own.certificate, own.key].contains(&real_path(path)) {
        bail!("{} is where the engine keeps its own CA: name a different file", path.display());
    }
    match private::create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("already exists: {}; name a different file, or remove it", path.display())
        }
        file => file
            .and_then(|mut file| file.write_all(found.pem.as_bytes()))
            .with_context(|| path.display().to_string())?,
    }
    printer.note(format_args!("written to {}", path.display()));
    Ok(ExitStatus::Done)
}

fn report_no_ca(printer: &mut Printer) -> ExitStatus {
    printer.note("no CA: run `ca init`, or start the engine with --intercept");
    ExitStatus::No
}

fn print(found: &ActiveCa, printer: &mut Printer) -> anyhow::Result<()> {
    let facts = CaFacts::of_pem(&found.pem)?;
    let time = |seconds| {
        DateTime::<Utc>::from_timestamp(seconds, 0).map_or_else(String::new, |time| {
            time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        })
    };
    let shown = CaDescription {
        subject: facts.subject,
        sha256: facts.fingerprint,
        permitted: facts.permitted,
        excluded: facts.excluded,
        not_before: time(facts.not_before),
        not_after: time(facts.not_after),
        file: found.file.as_ref().map(|file| file.display().to_string()),
    };
    if printer.json() {
        printer.document(&shown)?;
        return Ok(());
    }
    let file = shown.file.as_deref().unwrap_or("in the engine's memory until it stops");
    for (name, value) in [
        ("Subject", shown.subject.as_str()),
        ("SHA-256", &shown.sha256),
        ("Signs for", &shown.permitted.join(", ")),
        ("Never for", &shown.excluded.join(", ")),
        ("From", &shown.not_before),
        ("Until", &shown.not_after),
        ("File", file),
    ] {
        if !value.is_empty() {
            printer.line(format_args!("{name:<10} {}", crate::printer::visible(value)))?;
        }
    }
    Ok(())
}
