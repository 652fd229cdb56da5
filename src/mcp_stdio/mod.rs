//! Wraps an MCP server on stdio so that its tool calls are guarded.

mod answer;
mod bridge;
mod calls;
mod child;
mod engine;
mod loopback;
mod pending;
mod server;

use std::ffi::OsString;
use std::sync::Arc;

use anyhow::Context as _;

use self::calls::Calls;
use self::child::Child;
use self::engine::EngineHandle;
use self::server::Server;
use crate::config::{LogFormat, Target, env};
use crate::exit::ExitStatus;
use crate::launch::engine::AttachedEngine;
use crate::launch::inheritance::Inheritance;
use crate::launch::preparation::{self, Extras};
use crate::launch::session_share::SessionShare;
use crate::launch::signals::Signals;
use crate::launch::start::Start;
use crate::launch::{credentials, session, upstream_proxy};
use crate::log;
use crate::printer::Printer;

/// The session of calls that name none.
const DEFAULT_SESSION: &str = "default";

/// What to wrap, and how.
pub(crate) struct WrappedServer<'a> {
    /// The server and its arguments.
    pub(crate) command: &'a [OsString],
    /// A name or an id; `None` for the one of `run`, else [`DEFAULT_SESSION`].
    pub(crate) session: Option<&'a str>,
    /// The name in records and rules; `None` for the one of its program.
    pub(crate) name: Option<&'a str>,
    pub(crate) target: &'a Target,
}

/// Runs the server until it ends, or until its client closes stdin.
pub(crate) fn run(
    wrapped: &WrappedServer<'_>,
    printer: &mut Printer,
) -> anyhow::Result<ExitStatus> {
    let inheritance = Inheritance::now();
    let inherited = &inheritance.variables;
    let session = wrapped.session.or(inherited.get(env::SESSION).map(String::as_str));
    let session = session::check_name(session.unwrap_or(DEFAULT_SESSION))?;
    let server = Server::new(wrapped.name, wrapped.command, inherited)?;
    log::start(LogFormat::Human, "warn")?;
    let upstream_proxy = upstream_proxy::configured(inherited, None)?;
    upstream_proxy.notes().iter().for_each(|note| printer.note(note));
    let engine = AttachedEngine::attach_or_start(wrapped.target, &upstream_proxy)?;
    let run = inherited.get(env::RUN).cloned().unwrap_or_else(session::new_run);
    // MCP clients pass on no environment, and the HTTP calls of the server must be guarded too.
    let prepared = preparation::prepare(session, &run, &engine, inherited, &Extras::default())?;
    let share = SessionShare::attend(engine.database(), &session::shared_name(session, &engine)?)
        .context("cannot take part in the session")?;
    let user = credentials::user(session, &run);
    let handle = EngineHandle::new(engine, wrapped.target.clone(), upstream_proxy, user)?;
    let handle = Arc::new(handle);
    let (changes, inheritance) = (&prepared.changes, &inheritance);
    let start = Start { command: wrapped.command, changes, inheritance };
    let ended = run_with(&handle, server, &start, printer);
    let Some(engine) = handle.release() else { return ended };
    share.leave(|| session::complete_last(session, &engine, printer));
    engine.close(ended, printer)
}

fn run_with(
    handle: &Arc<EngineHandle>,
    server: Server,
    start: &Start<'_>,
    printer: &mut Printer,
) -> anyhow::Result<ExitStatus> {
    // Before the server starts, so that no signal is lost.
    let mut signals = Signals::listen()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(async {
        let (child, pipes) = match Child::start(start) {
            Ok(started) => started,
            Err(error) => {
                let program = start.program().display();
                printer.note(format_args!("error: cannot run {program}: {error}"));
                return Ok(ExitStatus::of_failed_start(&error));
            }
        };
        let loopback = loopback::open(pipes.stdin).await?;
        let calls = Calls::new(server, Arc::clone(handle), &loopback);
        bridge::run(child, pipes.stdout, loopback, Arc::new(calls), &mut signals).await
    });
    // The thread that reads stdin can wait forever.
    runtime.shutdown_background();
    ended
}
