use serde::Deserialize;
use store::model::{ExecutionStatus, Json};
use store::state::Knowledge;

use crate::config::Target;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::shown;
use crate::source::Word;
use crate::source::named::{self, Lookup};
use crate::source::settle::{SettleResult, Settlement};

/// Settle an execution that is in doubt: it ran, or it did not
///
/// Check the records of the tool first. The verdict goes into the audit log with its evidence.
/// After --ran, duplicates get the stored result; after --did-not-run, the next identical call
/// runs. If no server is running, this takes over the database and recovers it first. The exit code
/// is 1 if the execution does not exist, or is not in doubt at that attempt.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("verdict").required(true),
    after_help = "\
Examples:
  openclaw-state-engine executions --status in_doubt
  openclaw-state-engine resolve 0197a5b2-7c3e-7d4f-8a6b-1c2d3e4f5a6b \\
    --did-not-run --evidence 'not in the provider log of 23 Feb'
  openclaw-state-engine resolve 0197a5b2-7c3e-7d4f-8a6b-1c2d3e4f5a6b \\
    --ran --attempt 1 --output '{\"id\":\"ch_1\"}' --evidence 'ch_1 is there'"
)]
pub(super) struct Args {
    /// Execution: its id, or the beginning of it
    #[arg(value_name = "ID")]
    id: String,

    /// It took effect
    #[arg(long, group = "verdict")]
    ran: bool,

    /// It did not take effect
    #[arg(long, group = "verdict")]
    did_not_run: bool,

    /// Attempt that you looked at: refused if a different one is in doubt by now [default: the
    /// newest]
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,

    /// Answer of the tool, if it ran and you know it
    #[arg(long, value_name = "JSON", requires = "ran", value_parser = parse_json)]
    output: Option<Json>,

    /// How you know: 1 to 4,096 characters
    #[arg(long, value_name = "TEXT")]
    evidence: String,

    #[command(flatten)]
    target: Target,
}

#[derive(Deserialize)]
struct OutcomeFacts {
    status: Word<ExecutionStatus>,
    outcome: Option<Word<Knowledge>>,
}

/// Asks the server, or takes the lock if none is running.
pub(super) fn run(args: &Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let id = match named::execution(&args.id, &args.target)? {
        Lookup::One(id) => id,
        Lookup::No(why) => {
            printer.note(why);
            return Ok(ExitStatus::No);
        }
    };
    let settlement = Settlement {
        id,
        attempt: args.attempt,
        outcome: if args.ran { Knowledge::Executed } else { Knowledge::NotExecuted },
        output: args.output.as_ref(),
        evidence: &args.evidence,
    };
    match settlement.submit(&args.target)? {
        SettleResult::Now(execution) if printer.json() => {
            printer.document(&shown::document(execution))?;
        }
        SettleResult::Now(execution) => {
            let facts: OutcomeFacts = serde_json::from_str(execution.get())?;
            let known = facts.outcome.map(|outcome| outcome.to_string().replace('_', " "));
            let known = known.unwrap_or_default();
            printer.line(format_args!("Execution {id} is now {} ({known}).", facts.status))?;
        }
        SettleResult::No(reason) => {
            printer.note(reason);
            return Ok(ExitStatus::No);
        }
    }
    Ok(ExitStatus::Done)
}

fn parse_json(text: &str) -> Result<Json, store::model::JsonError> {
    Json::parse(text)
}
