//! What a program is started with: its environment, and the files and the port that the environment
//! names.

use super::credentials::{self, Credentials};
use super::engine::AttachedEngine;
use super::environment::{self, Changes, EnvironmentSpec};
use super::java_port::JavaPort;
use super::trust::Trust;
use super::variables::Variables;

/// What only some programs get.
#[derive(Debug, Default)]
pub(crate) struct Extras<'a> {
    /// An environment for Java.
    pub(crate) java: bool,
    /// The state API's token.
    pub(crate) api_token: Option<&'a str>,
}

/// The environment of a run. The files and the port that it names last as long as this value.
pub(crate) struct PreparedEnvironment {
    pub(crate) changes: Changes,
    _trust: Option<Trust>,
    _java_port: Option<JavaPort>,
}

/// Prepares the environment of `run` of `session`.
pub(crate) fn prepare(
    session: &str,
    run: &str,
    engine: &AttachedEngine,
    inherited: &Variables,
    extras: &Extras<'_>,
) -> anyhow::Result<PreparedEnvironment> {
    let credentials = Credentials::new(credentials::user(session, run), engine.reader())?;
    let ca = engine.client().get("/ca.pem")?;
    let trust = ca.map(|ca| Trust::new(&ca, inherited, extras.java)).transpose()?;
    let java_port =
        extras.java.then(|| JavaPort::open(engine.proxy(), &credentials)).transpose()?;
    let spec = EnvironmentSpec {
        proxy: engine.proxy(),
        credentials: &credentials,
        api: engine.api(),
        session,
        run,
        database: engine.database(),
        api_token: extras.api_token,
        trust: trust.as_ref(),
        java: java_port.as_ref().map(JavaPort::address),
        node_warns: environment::node_warns(inherited),
    };
    let changes = environment::changes(&spec, inherited);
    Ok(PreparedEnvironment { changes, _trust: trust, _java_port: java_port })
}
