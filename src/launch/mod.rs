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
pub(crate) mod start;
mod trust;
pub(crate) mod upstream_proxy;
pub(crate) mod variables;

use std::ffi::OsString;

use uuid::Uuid;

use self::engine::AttachedEngine;
use self::inheritance::Inheritance;
use self::preparation::Extras;
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
    let ended = match run_with(&engine, program, &session, &inheritance, printer) {
        Ok(ended) => ended,
        Err(error) => {
            engine.close(ExitStatus::Unexpected, printer);
            return Err(error);
        }
    };
    if ended == (ExitStatus::Child { code: 0 })
        && let Err(error) = session::complete(&session, &engine)
    {
        printer.note(format_args!("cannot complete the session {session}: {error:#}"));
    }
    Ok(engine.close(ended, printer))
}

fn run_with(
    engine: &AttachedEngine,
    program: &Program<'_>,
    session: &str,
    inheritance: &Inheritance,
    printer: &mut Printer,
) -> anyhow::Result<ExitStatus> {
    if Uuid::try_parse(session).is_ok() {
        session::find(session, engine)?;
    }
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
