//! The session of a guarded program: its name, and its completion.

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use store::model::{Session, SessionStatus};
use uuid::Uuid;

use super::engine::AttachedEngine;
use crate::printer::Printer;

/// Checks that proxy credentials can carry a name.
pub(crate) fn check_name(session: &str) -> anyhow::Result<&str> {
    let length = session.chars().count();
    if session.trim().is_empty() || length > store::MAX_NAME || session.contains(char::is_control) {
        bail!("--session must be 1 to {} printable characters", store::MAX_NAME);
    }
    if session.contains(':') {
        bail!("--session must not contain a colon: in a proxy's URL the password follows it");
    }
    if session.rsplit_once('~').is_some_and(|(_, run)| run.len() == 32) {
        bail!("--session must not end like a run: ~ and 32 characters");
    }
    Ok(session)
}

/// The name of a new run.
pub(crate) fn new_run() -> String {
    Uuid::now_v7().simple().to_string()
}

pub(crate) fn new_name() -> String {
    let id = Uuid::now_v7().simple().to_string();
    format!("run-{}", &id[20..])
}

/// The session; `None` if no call has created it yet.
pub(crate) fn find(session: &str, engine: &AttachedEngine) -> anyhow::Result<Option<Session>> {
    let Ok(id) = Uuid::try_parse(session) else {
        return Ok(engine.reader().session_by_name(session)?);
    };
    let found = engine.reader().session(id)?;
    match found.status {
        SessionStatus::Active | SessionStatus::Paused => Ok(Some(found)),
        ended => bail!("session {id} is {}: use a different one", ended.as_str()),
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

/// The name by which the runs of a session find each other: its own, however `session` names it.
pub(crate) fn shared_name(session: &str, engine: &AttachedEngine) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Metadata {
        name: Option<String>,
    }
    if Uuid::try_parse(session).is_err() {
        return Ok(session.to_owned());
    }
    let found = find(session, engine)?;
    let metadata = found.and_then(|found| serde_json::from_str(found.metadata.as_str()).ok());
    let name = metadata.and_then(|metadata: Metadata| metadata.name);
    Ok(name.unwrap_or_else(|| session.to_ascii_lowercase()))
}

/// Completes the session as its last run. Reports a failure.
pub(crate) fn complete_last(session: &str, engine: &AttachedEngine, printer: &mut Printer) {
    if let Err(error) = complete(session, engine) {
        printer.note(format_args!("cannot complete the session {session}: {error:#}"));
    }
}

/// Completes the session, unless no call has created it.
pub(crate) fn complete(session: &str, engine: &AttachedEngine) -> anyhow::Result<()> {
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
        for good in ["nightly", "a~b", "Reise nach Köln", &"x".repeat(255), &new_name()] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let like_a_run = format!("a~{}", Uuid::nil().simple());
        for bad in ["", " ", "a:b", "a\nb", &"x".repeat(256), &like_a_run] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
