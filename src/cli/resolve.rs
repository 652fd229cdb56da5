use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use store::call::Verdict;
use store::model::Json;
use store::{Options, Store};
use uuid::Uuid;

use crate::client::Client;
use crate::config::Place;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::source;

/// Settle an execution that is in doubt: it ran, or it did not
///
/// Look at the tool's own records first. The verdict goes into the audit log with its evidence. After
/// --ran duplicates get the stored result; after --did-not-run the next identical call runs. Without
/// a running server the database is taken over and recovered first. The exit code is 1 where the
/// execution is not there, or not in doubt at that attempt.
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
    /// The execution
    id: Uuid,

    /// It took effect
    #[arg(long, group = "verdict")]
    ran: bool,

    /// It did not take effect
    #[arg(long, group = "verdict")]
    did_not_run: bool,

    /// The attempt that was looked at: refused where another one is in doubt by now [default: the
    /// newest]
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,

    /// What the tool answered, where it ran and that is known
    #[arg(long, value_name = "JSON", requires = "ran", value_parser = parse_json)]
    output: Option<Json>,

    /// How you know: 1 to 4,096 characters
    #[arg(long, value_name = "TEXT")]
    evidence: String,

    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct Params<'a> {
    id: Uuid,
    attempt: u32,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Json>,
    evidence: &'a str,
}

#[derive(Deserialize)]
struct Facts {
    status: String,
    #[serde(default)]
    attempt: u32,
    outcome: Option<String>,
}

/// What became of the verdict.
enum Answer {
    /// It stands; this is the execution now.
    Settled(Box<RawValue>),
    /// The execution is not there, or not in doubt at that attempt.
    No(String),
}

/// Asks the server, or takes the lock where none runs.
pub(super) fn run(args: &Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let database = args.place.database()?;
    let answer = if let Some(client) = source::server_of(&database, &args.place)? {
        ask(&client, args)?
    } else {
        source::open(&database)?;
        match Store::open(&Options::new(&database)) {
            // A server has started since the lock was looked at.
            Err(store::Error::Locked { holder }) => {
                ask(&source::client_of(&holder, &args.place)?, args)?
            }
            store => decide(&store?, args)?,
        }
    };
    match answer {
        Answer::Settled(execution) if printer.json() => printer.document(&execution)?,
        Answer::Settled(execution) => {
            let facts: Facts = serde_json::from_str(execution.get())?;
            let known = facts.outcome.unwrap_or_default().replace('_', " ");
            printer
                .line(format_args!("Execution {} is now {} ({known}).", args.id, facts.status))?;
        }
        Answer::No(reason) => {
            printer.note(reason);
            return Ok(ExitStatus::No);
        }
    }
    Ok(ExitStatus::Done)
}

fn ask(client: &Client, args: &Args) -> anyhow::Result<Answer> {
    let attempt = match attempt_of(args, source::execution(client, args.id)?)? {
        Ok(attempt) => attempt,
        Err(no) => return Ok(Answer::No(no)),
    };
    let params = Params {
        id: args.id,
        attempt,
        verdict: if args.ran { "executed" } else { "not_executed" },
        output: args.output.as_ref(),
        evidence: &args.evidence,
    };
    match client.call("resolve_tool_execution", &params) {
        Ok(execution) => Ok(Answer::Settled(execution)),
        Err(error) if matches!(error.code(), Some("NOT_FOUND" | "STALE")) => {
            Ok(Answer::No(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Without a server: opening the store has recovered it, so that what a crash left running is in
/// doubt by now.
fn decide(store: &Store, args: &Args) -> anyhow::Result<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async {
        let execution = match store.reader().execution(args.id) {
            Ok(execution) => Some(to_raw_value(&execution)?),
            Err(store::Error::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let attempt = match attempt_of(args, execution)? {
            Ok(attempt) => attempt,
            Err(no) => return Ok(Answer::No(no)),
        };
        let verdict = Verdict {
            id: args.id,
            attempt,
            executed: args.ran,
            output: args.output.clone(),
            evidence: args.evidence.clone(),
            actor: "operator".to_owned(),
        };
        match store.resolve(verdict).await {
            Ok(execution) => Ok(Answer::Settled(to_raw_value(&execution)?)),
            Err(error @ (store::Error::NotFound { .. } | store::Error::Stale(_))) => {
                Ok(Answer::No(error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    });
    runtime.block_on(store.close());
    answer
}

/// The attempt that the verdict is about, or why there is none.
fn attempt_of(
    args: &Args,
    execution: Option<Box<RawValue>>,
) -> anyhow::Result<Result<u32, String>> {
    let Some(execution) = execution else {
        return Ok(Err(format!("There is no execution {}.", args.id)));
    };
    let facts: Facts =
        serde_json::from_str(execution.get()).context("the execution is not understood")?;
    if facts.status != "in_doubt" {
        return Ok(Err(format!("Execution {} is not in doubt: it is {}.", args.id, facts.status)));
    }
    Ok(Ok(args.attempt.unwrap_or(facts.attempt)))
}

fn parse_json(text: &str) -> Result<Json, store::model::JsonError> {
    Json::parse(text)
}
