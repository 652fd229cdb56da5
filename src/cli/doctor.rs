mod clients;
mod engine;
mod probe;
mod upstream;

use serde::Serialize;
use uuid::Uuid;

use super::run::engine::Engine;
use super::run::{self, Given, environment, outward};
use super::{ExitStatus, serve};
use crate::config::{LogFormat, Place};
use crate::printer::{Printer, visible};

/// Say whether everything works here, and what to do where it does not
///
/// Looks at the store, its disk, the clock and the ports; sends a call twice through the proxy and sees
/// that it acts once; then tries each client that is found on PATH as `run` would start it. Nothing
/// leaves this machine. An engine that serves the database is used; else one is brought along, and
/// makes the database where there is none. The exit code is 1 where anything is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine doctor
  openclaw-state-engine doctor --database agent.db --json")]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// It works, and somebody should know of it.
    Warning,
    Problem,
}

/// What was found about one thing.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    what: String,
    verdict: Verdict,
    /// In words.
    found: String,
    /// What to do about it.
    remedy: Option<String>,
}

impl Finding {
    fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Ok, found: found.into(), remedy: None }
    }

    fn bad(
        verdict: Verdict,
        what: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { what: what.into(), verdict, found: found.into(), remedy }
    }

    fn problem(
        what: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::bad(Verdict::Problem, what, found, remedy)
    }
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    findings: &'a [Finding],
}

/// Tells all that is found, also where the first thing is wrong already.
pub(super) fn run(args: &Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    serve::start_log(LogFormat::Human, "warn")?;
    let mut findings = Vec::new();
    if let Err(error) = look(args, &mut findings, printer) {
        let remedy = "see what it says; `serve` says more in its log";
        findings.push(Finding::problem("engine", format!("{error:#}"), remedy));
    }
    let ok = findings.iter().all(|finding| finding.verdict != Verdict::Problem);
    if printer.json() {
        printer.document(&Report { ok, findings: &findings })?;
    } else {
        for finding in &findings {
            print(finding, printer)?;
        }
    }
    Ok(if ok { ExitStatus::Done } else { ExitStatus::No })
}

fn print(finding: &Finding, printer: &mut Printer) -> std::io::Result<()> {
    let verdict = match finding.verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Problem => "PROBLEM",
    };
    let (what, found) = (visible(&finding.what), visible(&finding.found));
    let remedy = finding.remedy.as_deref().map(|remedy| format!(": {}", visible(remedy)));
    printer.line(format_args!("{verdict:8} {what:18} {found}{}", remedy.unwrap_or_default()))
}

fn look(args: &Args, findings: &mut Vec<Finding>, printer: &mut Printer) -> anyhow::Result<()> {
    let database = std::path::absolute(args.place.database()?)?;
    findings.extend(engine::ports(&database));
    let inherited = environment::inherited();
    let outward = match outward::of(&inherited, None) {
        Ok(outward) => outward,
        Err(error) => {
            let remedy = "run --upstream-proxy URL, or none";
            findings.push(Finding::problem("your proxy", error.to_string(), remedy));
            outward::Outward::default()
        }
    };
    let engine = Engine::find_or_bring(&args.place, &outward)?;
    let looked = through(&engine, &inherited, findings);
    engine.close(printer);
    looked
}

fn through(
    engine: &Engine,
    inherited: &environment::Variables,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    findings.extend(engine::store(engine)?);
    let id = Uuid::now_v7().simple().to_string();
    let session = format!("doctor-{}", &id[20..]);
    let upstream = upstream::Upstream::start()?;
    let prepare = |java| {
        let given = Given { java, api_token: None };
        run::prepare(&session, &run::fresh_run(), engine, inherited, &given)
    };
    let usual = prepare(false)?;
    findings.push(probe::round_trip(engine, &upstream, &usual.changes));
    for note in environment::notes(inherited) {
        let remedy = "unset no_proxy for the program, or take the tools' hosts out of it";
        findings.push(Finding::bad(Verdict::Warning, "no_proxy", note, remedy));
    }
    for client in clients::ALL {
        let Some(version) = probe::version(client, &usual.changes) else { continue };
        findings.push(if client.java {
            match prepare(true) {
                Ok(java) => probe::client(client, &version, &upstream, &java.changes)?,
                Err(error) => {
                    let why = format!("no trust store: {error:#}");
                    Finding::bad(Verdict::Warning, client.name, why, "install a JDK")
                }
            }
        } else {
            probe::client(client, &version, &upstream, &usual.changes)?
        });
    }
    run::complete(&session, engine)
}
