mod bridge;
mod calls;
mod child;
mod door;
mod loopback;
mod server;

use std::ffi::OsString;
use std::sync::Arc;

use self::calls::Calls;
use self::door::Keeper;
use self::server::Server;
use super::run::engine::Engine;
use super::run::environment::{self, Changes};
use super::run::inheritance::Inheritance;
use super::run::{self, Given, checked, outward};
use super::{ExitStatus, serve};
use crate::config::{LogFormat, Place, env};
use crate::printer::Printer;

/// The session of calls for which none is named.
const DEFAULT_SESSION: &str = "default";

/// Run an MCP server on stdio so that its tool calls are guarded
///
/// Put it before the server's command in the client's configuration. Each `tools/call` becomes a call
/// through the engine, with the same promises as one over HTTP; all other messages pass byte for
/// byte. The engine that serves the database is used; where none runs, one is brought along. The
/// server finds the proxy by its environment, as under `run`, and its exit status becomes this
/// command's.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine mcp -- npx -y @modelcontextprotocol/server-everything
  openclaw-state-engine mcp --session nightly -- uvx mcp-server-git --repository .
  openclaw-state-engine mcp --name mail --database agent.db -- python mail_server.py")]
pub(super) struct Args {
    /// The session that the calls belong to: its name, or its id [default: that of `run`, else `default`]
    #[arg(long, value_name = "NAME")]
    session: Option<String>,

    /// The server's name in records and rules [default: that of its program]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    place: Place,

    /// The server and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs the server until it ends, or until its client has no more to say.
pub(super) fn run(args: &Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let inherited = environment::inherited();
    let session = args.session.clone().or_else(|| inherited.get(env::SESSION).cloned());
    let session = session.unwrap_or_else(|| DEFAULT_SESSION.to_owned());
    checked(&session)?;
    let server = Server::new(args.name.as_deref(), &args.command, &inherited)?;
    serve::start_log(LogFormat::Human, "warn")?;
    let inheritance = Inheritance::now();
    let outward = outward::of(&inherited, None)?;
    let engine = Engine::find_or_bring(&args.place, &outward)?;
    let run = inherited.get(env::RUN).cloned();
    let run = run.unwrap_or_else(run::fresh_run);
    // MCP clients pass nothing on: the server's own calls by HTTP are to be guarded too.
    let prepared = run::prepare(&session, &run, &engine, &inherited, &Given::default())?;
    let user = format!("{session}~{run}");
    let keeper = Arc::new(Keeper::new(engine, args.place.clone(), outward, user)?);
    let ended = served(args, server, &prepared.changes, &inheritance, &keeper, printer);
    if let Some(engine) = keeper.end() {
        engine.close(printer);
    }
    ended
}

fn served(
    args: &Args,
    server: Server,
    changes: &Changes,
    inheritance: &Inheritance,
    keeper: &Arc<Keeper>,
    printer: &mut Printer,
) -> anyhow::Result<ExitStatus> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(async {
        let (child, pipes) = match child::Child::start(&args.command, changes, inheritance) {
            Ok(started) => started,
            Err(error) => {
                let program = args.command[0].display();
                printer.note(format_args!("error: cannot run {program}: {error}"));
                return Ok(ExitStatus::Child { code: child::code_of_failure(&error) });
            }
        };
        let loopback = loopback::open(pipes.stdin).await?;
        let calls = Calls::new(server, Arc::clone(keeper), &loopback);
        bridge::run(child, pipes.stdout, loopback, Arc::new(calls)).await
    });
    // The thread that reads stdin can be waiting for ever.
    runtime.shutdown_background();
    ended
}
