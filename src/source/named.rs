//! Sessions and executions as a person names them on the command line.

use store::Reader;
use uuid::Uuid;

use crate::config::Target;

/// What a name on the command line means.
pub(crate) enum Lookup {
    /// This one.
    One(Uuid),
    /// None, or more than one. The text says what to do.
    No(String),
}

/// The session that `text` names: by its id, by its name (the newest of that name), or by the
/// beginning of its id. Reads the file, also beside a running server.
pub(crate) fn session(text: &str, target: &Target) -> anyhow::Result<Lookup> {
    let found = |reader: &Reader| reader.sessions_named(text);
    find(text, target, "session", &found, "an id, the beginning of one, or a name")
}

/// The execution that `text` names, by its id or the beginning of it.
pub(crate) fn execution(text: &str, target: &Target) -> anyhow::Result<Lookup> {
    let found = |reader: &Reader| reader.executions_named(text);
    find(text, target, "execution", &found, "an id, or the beginning of one")
}

fn find(
    text: &str,
    target: &Target,
    what: &str,
    found: &dyn Fn(&Reader) -> Result<Vec<Uuid>, store::Error>,
    forms: &str,
) -> anyhow::Result<Lookup> {
    // Whether a whole id exists is for the verb to find out.
    if let Ok(id) = Uuid::try_parse(text) {
        return Ok(Lookup::One(id));
    }
    let reader = super::open(&target.database()?)?;
    Ok(match found(&reader)?.as_slice() {
        [one] => Lookup::One(*one),
        [] => Lookup::No(format!("No {what} is named {text:?}: give {forms}.")),
        more => {
            let ids: Vec<String> = more.iter().map(Uuid::to_string).collect();
            Lookup::No(format!(
                "More than one {what} begins with {text:?}, such as {}: give more of the id.",
                ids.join(" and ")
            ))
        }
    })
}
