use crate::config::Target;
use crate::exit::ExitStatus;
use crate::printer::{Printer, visible};
use crate::source;

/// Check the event chain and the invariants of the store, also while a server is running
///
/// The chain shows rows that were changed, dropped or swapped. It shows a tail that was cut off
/// only against a head that an earlier run printed: keep that elsewhere and pass it with --head.
/// The exit code is 1 if anything is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine verify
  openclaw-state-engine verify --database agent.db --json
  openclaw-state-engine verify --head \"$(cat head.txt)\"")]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,

    /// Head that an earlier run printed
    #[arg(long, value_name = "SEQ:HASH")]
    head: Option<String>,
}

/// Reads the file itself: readers do not disturb the server that writes it.
pub(super) fn run(args: &Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let report = source::open_unchecked(&args.target.database()?)?.verify(args.head.as_deref())?;
    if printer.json() {
        printer.document(&report)?;
    } else {
        for finding in &report.findings {
            let message = visible(&finding.message);
            printer.line(format_args!("{} row {}: {message}", finding.table, finding.row))?;
        }
        printer.line(format_args!("Head: {}", report.head))?;
        printer.line(format_args!(
            "{} event(s) and {} execution(s) checked, {} problem(s) found.",
            report.events,
            report.executions,
            report.findings.len()
        ))?;
    }
    Ok(if report.findings.is_empty() { ExitStatus::Done } else { ExitStatus::No })
}
