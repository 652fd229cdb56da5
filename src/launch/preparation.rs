//! What a program is started with: its environment, and the files and the port that this names.

use super::credentials::{self, Credentials};
use super::engine::AttachedEngine;
use super::environment::{self, Changes, Wanted};
use super::scoped::Scoped;
use super::trust::Trust;
use super::variables::Variables;

/// What not every program is given.
#[derive(Debug, Default)]
pub(crate) struct Extras<'a> {
    /// What Java needs.
    pub(crate) java: bool,
    /// The state API's token.
    pub(crate) api_token: Option<&'a str>,
}

/// The environment of a run, with the files and the port that it names: these go with the value.
pub(crate) struct PreparedEnvironment {
    pub(crate) changes: Changes,
    _trust: Option<Trust>,
    _scoped: Option<Scoped>,
}

/// The environment of `run` of `session`.
pub(crate) fn prepare(
    session: &str,
    run: &str,
    engine: &AttachedEngine,
    inherited: &Variables,
    given: &Extras<'_>,
) -> anyhow::Result<PreparedEnvironment> {
    let credentials = Credentials::new(credentials::user(session, run), engine.reader())?;
    let ca = engine.client().get("/ca.pem")?;
    let trust = ca.map(|ca| Trust::new(&ca, inherited, given.java)).transpose()?;
    let scoped = given.java.then(|| Scoped::open(engine.proxy(), &credentials)).transpose()?;
    let wanted = Wanted {
        proxy: engine.proxy(),
        credentials: &credentials,
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
    Ok(PreparedEnvironment { changes, _trust: trust, _scoped: scoped })
}
