//! Runs a program so that its tool calls are guarded.

mod child;
pub(crate) mod engine;
pub(crate) mod environment;
pub(crate) mod inheritance;
pub(crate) mod outward;
pub(crate) mod preparation;
mod scoped;
pub(crate) mod session;
mod trust;
pub(crate) mod variables;

use std::ffi::OsString;

use uuid::Uuid;

use self::engine::Engine;
use self::inheritance::Inheritance;
use self::preparation::Given;
use self::variables::Variables;
use crate::config::{LogFormat, Place, Token};
use crate::exit::ExitStatus;
use crate::log;
use crate::printer::Printer;

/// What is to be run, and how.
pub(crate) struct Program<'a> {
    /// The program and its arguments.
    pub(crate) command: &'a [OsString],
    /// A name or an id; `None`: a new session.
    pub(crate) session: Option<&'a str>,
    pub(crate) place: &'a Place,
    /// The proxy that an engine of this process goes out through, or `none`; `None`: that of the
    /// environment.
    pub(crate) upstream_proxy: Option<&'a str>,
    /// It gets what Java needs.
    pub(crate) java: bool,
    /// It gets the state API's token.
    pub(crate) share_api_token: bool,
}

/// Runs the program to its end.
pub(crate) fn run(program: &Program<'_>, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let session = match program.session {
        Some(session) => session::checked(session)?.to_owned(),
        None => session::fresh_name(),
    };
    log::start(LogFormat::Human, "warn")?;
    let inherited = variables::inherited();
    let inheritance = Inheritance::now();
    let outward = outward::of(&inherited, program.upstream_proxy)?;
    let engine = Engine::find_or_bring(program.place, &outward)?;
    let ended = guarded(program, &session, &engine, &inherited, &inheritance, printer);
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => {
            engine.close(printer);
            return Err(error);
        }
    };
    if ended == (ExitStatus::Child { code: 0 })
        && let Err(error) = session::complete(&session, &engine)
    {
        printer.note(format_args!("the session {session} could not be completed: {error:#}"));
    }
    engine.close(printer);
    Ok(ended)
}

fn guarded(
    program: &Program<'_>,
    session: &str,
    engine: &Engine,
    inherited: &Variables,
    inheritance: &Inheritance,
    printer: &mut Printer,
) -> anyhow::Result<ExitStatus> {
    if Uuid::try_parse(session).is_ok() {
        session::find(session, engine)?;
    }
    let token = program.place.token().filter(|_| program.share_api_token);
    let given = Given { java: program.java, api_token: token.as_ref().map(Token::reveal) };
    let run = session::fresh_run();
    let prepared = preparation::prepare(session, &run, engine, inherited, &given)?;
    if program.session.is_none() {
        printer.note(format_args!("session {session} (to go on with it: --session {session})"));
    }
    for note in variables::notes(inherited).into_iter().chain(engine.notes()) {
        printer.note(note);
    }
    child::run(program.command, &prepared.changes, inheritance, printer)
}
