use std::fs;
use std::io::Read as _;

use anyhow::{Context as _, anyhow};
use proxy::{ComparedWith, Explanation, Prospect, Treatment, UnmatchedPointer, explain};
use store::Reader;
use store::model::EffectClass;

use crate::config::{Config, Flags};
use crate::exit::ExitStatus;
use crate::printer::{Printer, visible};

/// Explain what would happen to a request: the rule, the key, the outcome
///
/// Nothing is sent and nothing is recorded. The rules are those of the configuration file; what
/// would happen now is read from the database, whether or not a server is running.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine explain POST http://tool.example/send 'to=ada'
  openclaw-state-engine explain POST http://tool.example/pay @order.json -H 'X-Order: 7'
  openclaw-state-engine explain DELETE http://tool.example/item/7 --json")]
pub(super) struct Args {
    /// Method
    method: String,

    /// Complete URL
    url: String,

    /// Body; @FILE reads it from a file, - from stdin
    body: Option<String>,

    /// Header of the request; can be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    #[command(flatten)]
    flags: Flags,
}

pub(super) fn run(args: Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let request = proxy::ExplainRequest {
        method: args.method.parse().map_err(|_| anyhow!("not a method: {}", args.method))?,
        url: args.url,
        headers: args.headers.iter().map(|field| header(field)).collect::<Result<_, _>>()?,
        body: body(args.body)?.into(),
    };
    let config = Config::try_from(args.flags)?;
    let database = Reader::database_path(&config.database.path);
    let reader = database.exists().then(|| Reader::open(&database)).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let explained = runtime.block_on(explain(
        &config.proxy.calls,
        &config.proxy.intercept,
        reader.as_ref(),
        request,
    ));
    match explained {
        Ok(explanation) if printer.json() => printer.document(&explanation)?,
        Ok(explanation) => print(&explanation, printer)?,
        Err(refusal) => {
            printer.note(format_args!("the proxy would refuse it: {refusal}"));
            return Ok(ExitStatus::No);
        }
    }
    Ok(ExitStatus::Done)
}

fn header(field: &str) -> anyhow::Result<(hyper::header::HeaderName, hyper::header::HeaderValue)> {
    let read = || {
        let (name, value) = field.split_once(':')?;
        Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
    };
    read().ok_or_else(|| anyhow!("not a header: {field:?}; use 'Name: value'"))
}

fn body(given: Option<String>) -> anyhow::Result<Vec<u8>> {
    match given {
        None => Ok(Vec::new()),
        Some(dash) if dash == "-" => {
            let mut body = Vec::new();
            std::io::stdin().read_to_end(&mut body).context("cannot read stdin")?;
            Ok(body)
        }
        Some(text) => match text.strip_prefix('@') {
            Some(file) => fs::read(file).with_context(|| format!("cannot read {file}")),
            None => Ok(text.into_bytes()),
        },
    }
}

fn print(explanation: &Explanation, printer: &mut Printer) -> anyhow::Result<()> {
    let decision = match explanation.decision {
        Treatment::Passed => "passed: it only reads, and nothing is stored",
        Treatment::Bypassed => "passed unguarded, and the answer says so",
        Treatment::Guarded => "guarded",
    };
    printer.line(format_args!("Decision  {decision}"))?;
    printer.line(format_args!("Rule      {}", explanation.rule))?;
    if let Some(needs) = &explanation.needs {
        printer.line(format_args!("Needs     {needs}"))?;
    }
    let Some(call) = &explanation.call else { return Ok(()) };
    printer.line(format_args!("Class     {}", call.class))?;
    printer.line(format_args!("Tool      {}", call.tool))?;
    match &call.key {
        Some(key) => {
            let kind = if call.explicit { "the client's own" } else { "derived" };
            let window = match call.window_s {
                Some(seconds) => format!(", held for {seconds} s after the call is over"),
                None => String::new(),
            };
            printer.line(format_args!("Key       {key} ({kind}{window})"))?;
        }
        None if call.class == EffectClass::Idempotent => {
            printer.line("Key       none: each request is its own execution")?;
        }
        None => printer.line("Key       created with the session")?,
    }
    printer.line(format_args!("Now       {}", outcome_now(call.now)))?;
    if let Some(id) = call.execution_id {
        printer.line(format_args!("          by execution {id}"))?;
    }
    if let Some(compared) = &call.compared {
        let ComparedWith { execution_id, differences } = compared;
        printer.line(format_args!("Compared  with {execution_id}, the {}", whose(call.now)))?;
        printer.line(format_args!("          {}", visible(&differences.sentence())))?;
        for line in &differences.rule {
            printer.line(format_args!(
                "          to make them one call, in its rule: {}",
                visible(line)
            ))?;
        }
    }
    for UnmatchedPointer { setting, pointer, calls, .. } in &call.unmatched {
        printer.line(format_args!(
            "Warning   {setting} {} matched 0 of {calls} calls that this rule decided",
            visible(pointer)
        ))?;
    }
    let rows = call.parts.iter().map(|part| {
        let counts = if part.counts { "counts" } else { "left out" };
        vec![part.part.to_owned(), counts.to_owned(), part.value.clone()]
    });
    printer.line("")?;
    printer.table(&["PART", "", "VALUE"], rows.collect())?;
    Ok(())
}

/// What the recorded call is to the explained one.
fn whose(prospect: Prospect) -> &'static str {
    match prospect {
        Prospect::KeyReuse => "holder of its key",
        _ => "newest call of its session with this method, host and path",
    }
}

fn outcome_now(prospect: Prospect) -> &'static str {
    match prospect {
        Prospect::Execute => "it would run",
        Prospect::ExecuteAgain => "it would run as one more attempt",
        Prospect::Wait => "it would wait for the running call",
        Prospect::Replay => "it would be answered from the store",
        Prospect::InDoubt => {
            "it would be held back: the same call may already have taken effect (424)"
        }
        Prospect::KeyReuse => "it would be refused: its key belongs to a different request (422)",
    }
}
