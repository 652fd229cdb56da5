mod child;
pub(super) mod engine;
pub(super) mod environment;
pub(super) mod inheritance;
pub(super) mod outward;
mod scoped;
mod trust;

use std::ffi::OsString;

use anyhow::{Context as _, bail};
use serde::Serialize;
use store::model::{Session, SessionStatus};
use uuid::Uuid;

use self::engine::Engine;
use self::environment::{Changes, Variables, Wanted};
use self::inheritance::Inheritance;
use self::scoped::Scoped;
use self::trust::Trust;
use super::{ExitStatus, serve};
use crate::config::{LogFormat, Place, Secret};
use crate::printer::Printer;

/// Run a program so that its tool calls are guarded, without a change of it
///
/// The engine that serves the database is used; where none runs, one is brought for as long as the
/// program lives. The program finds the proxy by its environment. It gets the signals that this command gets, and its
/// exit status becomes this command's. A status of 0 completes the session; after any other the next
/// run of the same session goes on where this one stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw-state-engine run -- python agent.py
  openclaw-state-engine run --session nightly -- node agent.mjs --full
  openclaw-state-engine run --session build-7 --java -- ./gradlew deploy
  openclaw-state-engine run --upstream-proxy http://proxy.corp.example:3128 -- claude")]
pub(super) struct Args {
    /// The session: its name, or its id [default: a new one, whose name is told]
    #[arg(long, value_name = "NAME")]
    session: Option<String>,

    #[command(flatten)]
    place: Place,

    /// Set `JAVA_TOOL_OPTIONS` too, and open a port for it that asks for no credentials; each Java
    /// program then says so on stderr
    #[arg(long)]
    java: bool,

    /// Leave the program the state API's token, as `STATE_ENGINE_TOKEN`; else it is taken from it
    #[arg(long)]
    share_api_token: bool,

    /// The proxy that an engine brought along goes out through, or `none` [default: that of the
    /// environment]
    #[arg(long, value_name = "URL")]
    upstream_proxy: Option<String>,

    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs the program to its end.
pub(super) fn run(args: &Args, printer: &mut Printer) -> anyhow::Result<ExitStatus> {
    let session = match &args.session {
        Some(session) => checked(session)?.to_owned(),
        None => fresh_session(),
    };
    serve::start_log(LogFormat::Human, "warn")?;
    let inherited = environment::inherited();
    let inheritance = Inheritance::now();
    let outward = outward::of(&inherited, args.upstream_proxy.as_deref())?;
    let engine = Engine::find_or_bring(&args.place, &outward)?;
    let ended = guarded(args, &session, &engine, &inherited, &inheritance, printer);
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => {
            engine.close(printer);
            return Err(error);
        }
    };
    if ended == (ExitStatus::Child { code: 0 })
        && let Err(error) = complete(&session, &engine)
    {
        printer.note(format_args!("the session {session} could not be completed: {error:#}"));
    }
    engine.close(printer);
    Ok(ended)
}

fn guarded(
    args: &Args,
    session: &str,
    engine: &Engine,
    inherited: &Variables,
    inheritance: &Inheritance,
    printer: &mut Printer,
) -> anyhow::Result<ExitStatus> {
    if Uuid::try_parse(session).is_ok() {
        find(session, engine)?;
    }
    let token = args.place.token().filter(|_| args.share_api_token);
    let given = Given { java: args.java, api_token: token.map(Secret::reveal) };
    let prepared = prepare(session, &fresh_run(), engine, inherited, &given)?;
    if args.session.is_none() {
        printer.note(format_args!("session {session} (to go on with it: --session {session})"));
    }
    for note in environment::notes(inherited).into_iter().chain(engine.notes()) {
        printer.note(note);
    }
    child::run(&args.command, &prepared.changes, inheritance, printer)
}

/// What not every program is given.
#[derive(Debug, Default)]
pub(super) struct Given<'a> {
    /// What Java needs.
    pub(super) java: bool,
    /// The state API's token.
    pub(super) api_token: Option<&'a str>,
}

/// The environment of a run, with the files and the port that it names: these go with the value.
pub(super) struct Prepared {
    pub(super) changes: Changes,
    _trust: Option<Trust>,
    _scoped: Option<Scoped>,
}

/// The environment of `run` of `session`.
pub(super) fn prepare(
    session: &str,
    run: &str,
    engine: &Engine,
    inherited: &Variables,
    given: &Given<'_>,
) -> anyhow::Result<Prepared> {
    let user = format!("{session}~{run}");
    let token = engine.reader().session_token(&user)?;
    let ca = engine.client().get("/ca.pem")?;
    let trust = ca.map(|ca| Trust::new(&ca, inherited, given.java)).transpose()?;
    let scoped = given.java.then(|| Scoped::open(engine.proxy(), &user, &token)).transpose()?;
    let wanted = Wanted {
        proxy: engine.proxy(),
        token: &token,
        user: &user,
        api: engine.api(),
        session,
        run,
        database: engine.database(),
        api_token: given.api_token,
        trust: trust.as_ref(),
        java: scoped.as_ref().map(Scoped::address),
        node_warns: environment::node_warns(inherited),
    };
    let changes = environment::changes(&wanted, inherited);
    Ok(Prepared { changes, _trust: trust, _scoped: scoped })
}

/// A name that proxy credentials can carry.
pub(super) fn checked(session: &str) -> anyhow::Result<&str> {
    let length = session.chars().count();
    if session.trim().is_empty() || length > store::MAX_NAME || session.contains(char::is_control) {
        bail!("--session takes 1 to {} readable characters", store::MAX_NAME);
    }
    if session.contains(':') {
        bail!("--session takes no colon: in a proxy's URL the password follows it");
    }
    if session.rsplit_once('~').is_some_and(|(_, run)| run.len() == 32) {
        bail!("--session takes no name that ends like a run, in ~ and 32 characters");
    }
    Ok(session)
}

/// Names a new run.
pub(super) fn fresh_run() -> String {
    Uuid::now_v7().simple().to_string()
}

fn fresh_session() -> String {
    let id = Uuid::now_v7().simple().to_string();
    format!("run-{}", &id[20..])
}

/// The session as it is now; `None` where no call has made it yet.
fn find(session: &str, engine: &Engine) -> anyhow::Result<Option<Session>> {
    let Ok(id) = Uuid::try_parse(session) else {
        return Ok(engine.reader().session_by_name(session)?);
    };
    let found = engine.reader().session(id)?;
    match found.status {
        SessionStatus::Active | SessionStatus::Paused => Ok(Some(found)),
        ended => bail!("the session {id} is {}: take another", ended.as_str()),
    }
}

#[derive(Serialize)]
struct Update {
    session: Completed,
}

#[derive(Serialize)]
struct Completed {
    id: Uuid,
    status: SessionStatus,
}

/// A session that no call has made needs no completion.
pub(super) fn complete(session: &str, engine: &Engine) -> anyhow::Result<()> {
    if let Some(session) = find(session, engine)? {
        let session = Completed { id: session.id, status: SessionStatus::Completed };
        let done = engine.client().call("update_session", &Update { session });
        done.context("the engine refused")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_credentials_can_carry() {
        for good in ["nightly", "a~b", "Reise nach Köln", &"x".repeat(255), &fresh_session()] {
            assert!(checked(good).is_ok(), "{good}");
        }
        let like_a_run = format!("a~{}", Uuid::nil().simple());
        for bad in ["", " ", "a:b", "a\nb", &"x".repeat(256), &like_a_run] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
