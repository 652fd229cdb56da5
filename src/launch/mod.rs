//! Runs a program with its tool calls guarded.

mod child;
pub(crate) mod credentials;
pub(crate) mod engine;
pub(crate) mod environment;
pub(crate) mod inheritance;
mod java_port;
pub(crate) mod preparation;
pub(crate) mod private_folder;
pub(crate) mod session;
pub(crate) mod session_share;
pub(crate) mod signals;
pub(crate) mod start;
pub(crate) mod starter;
mod trust;
pub(crate) mod upstream_proxy;
pub(crate) mod variables;

use std::ffi::OsString;

use anyhow::Context as _;

use self::engine::AttachedEngine;
use self::inheritance::Inheritance;
use self::preparation::Extras;
use self::session_share::SessionShare;
use self::start::Start;
use crate::config::{LogFormat, Target, Token};
use crate::exit::ExitStatus;
use crate::log;
use crate::printer::Printer;

/// What to run, and how.
pub(crate) struct Program<'a> {
    /// The program and its arguments.
    pub(crate) command: &'a [OsString],
    /// A name or an id; `None` for a new session.
    pub(crate) session: Option<&'a str>,
    pub(crate) target: &'a Target,
    /// The upstream proxy of an engine in this process, or `none`; `None` for the one that the
    /// environment names.
    pub(crate) upstream_proxy: Option<&'a str>,
    /// Set up the environment for Java.
    pub(crate) java: bool,
    /// Give the program the state API's token.
    pub(crate) share_api_token: bool,
}

/// Runs the program to its end.
pub(crate) fn run(program: &Program<'_>, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let session = match program.session {
        Some(session) => session::check_name(session)?.to_owned(),
        None => session::new_name(),
    };
    log::start(LogFormat::Human, "warn")?;
    let inheritance = Inheritance::now();
    let upstream_proxy =
        upstream_proxy::configured(&inheritance.variables, program.upstream_proxy)?;
    upstream_proxy.notes().iter().for_each(|note| printer.note(note));
    let engine = AttachedEngine::attach_or_start(program.target, &upstream_proxy)?;
    let ended = run_in(&session, &engine, program, &inheritance, printer);
    engine.close(ended, printer)
}

/// Runs the program as one of the runs of the session.
fn run_in(
    session: &str,
    engine: &AttachedEngine,
    program: &Program<'_>,
    inheritance: &Inheritance,
    printer: &mut Printer,
) -> anyhow::Result<ExitStatus> {
    let mut share = SessionShare::run(engine.database(), &session::shared_name(session, engine)?)
        .context("cannot take part in the session")?;
    let ended = run_with(engine, program, session, inheritance, printer);
    if matches!(ended, Ok(ExitStatus::Child { code: 0 })) {
        share.succeeded();
    }
    share.leave(|| session::complete_last(session, engine, printer));
    ended
}

fn run_with(
    engine: &AttachedEngine,
    program: &Program<'_>,
    session: &str,
    inheritance: &Inheritance,
    printer: &mut Printer,
) -> anyhow::Result<ExitStatus> {
    let token = program.target.token().filter(|_| program.share_api_token);
    let extras = Extras { java: program.java, api_token: token.as_ref().map(Token::reveal) };
    let (run, inherited) = (session::new_run(), &inheritance.variables);
    let prepared = preparation::prepare(session, &run, engine, inherited, &extras)?;
    if program.session.is_none() {
        printer.note(format_args!("session {session} (to continue: --session {session})"));
    }
    for note in variables::notes(inherited).into_iter().chain(engine.notes()) {
        printer.note(note);
    }
    let start = Start { command: program.command, changes: &prepared.changes, inheritance };
    child::run(&start, printer)
}
