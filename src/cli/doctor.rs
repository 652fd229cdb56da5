use serde::Serialize;

use crate::config::{LogFormat, Target};
use crate::doctor::{self, CheckResult, Severity};
use crate::exit::ExitStatus;
use crate::log;
use crate::printer::{Printer, visible};

/// Check whether everything works here, and say what to do if not
///
/// Checks the store, its disk, the clock and the ports; sends a call twice through the proxy and
/// checks that it acts once; then tries each client on PATH as `run` would start it. Nothing leaves
/// this machine. Uses the engine that serves the database; if none is running, starts one, which
/// creates the database if necessary. The exit code is 1 if there is a problem.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine doctor
  openclaw-state-engine doctor --database agent.db --json")]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
}

#[derive(Serialize)]
struct DoctorReport<'a> {
    ok: bool,
    findings: &'a [CheckResult],
}

/// Prints every result, even if the first one is a problem.
pub(super) fn run(args: &Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    log::start(LogFormat::Human, "warn")?;
    let findings = doctor::examine(&args.target, printer);
    let ok = findings.iter().all(|finding| finding.severity != Severity::Problem);
    if printer.json() {
        printer.document(&DoctorReport { ok, findings: &findings })?;
    } else {
        for finding in &findings {
            print(finding, printer)?;
        }
    }
    Ok(if ok { ExitStatus::Done } else { ExitStatus::No })
}

fn print(finding: &CheckResult, printer: &mut Printer) -> std::io::Result<()> {
    let severity = match finding.severity {
        Severity::Ok => "ok",
        Severity::Warning => "warning",
        Severity::Problem => "PROBLEM",
    };
    let (what, found) = (visible(&finding.what), visible(&finding.found));
    let remedy = finding.remedy.as_deref().map(|remedy| format!(": {}", visible(remedy)));
    printer.line(format_args!("{severity:8} {what:18} {found}{}", remedy.unwrap_or_default()))
}
