//! An MCP server on stdio, wrapped so that its tool calls are guarded.

mod bridge;
mod calls;
mod child;
mod connection;
mod loopback;
mod server;

use std::ffi::OsString;
use std::sync::Arc;

use self::calls::Calls;
use self::child::Child;
use self::connection::Keeper;
use self::server::Server;
use crate::config::{LogFormat, Place, env};
use crate::exit::ExitStatus;
use crate::launch::engine::Engine;
use crate::launch::environment::Changes;
use crate::launch::inheritance::Inheritance;
use crate::launch::preparation::{self, Given};
use crate::launch::{outward, session, variables};
use crate::log;
use crate::printer::Printer;

/// The session of calls for which none is named.
const DEFAULT_SESSION: &str = "default";

/// What is to be wrapped, and how.
pub(crate) struct WrappedServer<'a> {
    /// The server and its arguments.
    pub(crate) command: &'a [OsString],
    /// A name or an id; `None`: that of `run`, else [`DEFAULT_SESSION`].
    pub(crate) session: Option<&'a str>,
    /// In records and rules; `None`: that of its program.
    pub(crate) name: Option<&'a str>,
    pub(crate) place: &'a Place,
}

/// Runs the server until it ends, or until its client has no more to say.
pub(crate) fn run(
    wrapped: &WrappedServer<'_>,
    printer: &mut Printer,
) -> anyhow::Result<ExitStatus> {
    let inherited = variables::inherited();
    let session =
        wrapped.session.map(str::to_owned).or_else(|| inherited.get(env::SESSION).cloned());
    let session = session.unwrap_or_else(|| DEFAULT_SESSION.to_owned());
    session::checked(&session)?;
    let server = Server::new(wrapped.name, wrapped.command, &inherited)?;
    log::start(LogFormat::Human, "warn")?;
    let inheritance = Inheritance::now();
    let outward = outward::of(&inherited, None)?;
    let engine = Engine::find_or_bring(wrapped.place, &outward)?;
    let run = inherited.get(env::RUN).cloned();
    let run = run.unwrap_or_else(session::fresh_run);
    // MCP clients pass nothing on: the server's own calls by HTTP are to be guarded too.
    let prepared = preparation::prepare(&session, &run, &engine, &inherited, &Given::default())?;
    let user = format!("{session}~{run}");
    let keeper = Arc::new(Keeper::new(engine, wrapped.place.clone(), outward, user)?);
    let ended = served(wrapped.command, server, &prepared.changes, &inheritance, &keeper, printer);
    if let Some(engine) = keeper.end() {
        engine.close(printer);
    }
    ended
}

fn served(
    command: &[OsString],
    server: Server,
    changes: &Changes,
    inheritance: &Inheritance,
    keeper: &Arc<Keeper>,
    printer: &mut Printer,
) -> anyhow::Result<ExitStatus> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(async {
        let (child, pipes) = match Child::start(command, changes, inheritance) {
            Ok(started) => started,
            Err(error) => {
                let program = command[0].display();
                printer.note(format_args!("error: cannot run {program}: {error}"));
                return Ok(ExitStatus::of_failed_start(&error));
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
