//! Whether everything works here: the engine itself, and each client that is found on PATH.

mod clients;
mod engine;
mod finding;
mod probe;
mod upstream;

use uuid::Uuid;

use self::clients::Route;
pub(crate) use self::finding::{Finding, Verdict};
use crate::config::Place;
use crate::launch::engine::Engine;
use crate::launch::preparation::{self, Given};
use crate::launch::{outward, session, variables};
use crate::printer::Printer;

/// All that is found, also where the first thing is wrong already.
pub(crate) fn examine(place: &Place, printer: &mut Printer) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(error) = look(place, &mut findings, printer) {
        let remedy = "see what it says; `serve` says more in its log";
        findings.push(Finding::problem("engine", format!("{error:#}"), remedy));
    }
    findings
}

fn look(place: &Place, findings: &mut Vec<Finding>, printer: &mut Printer) -> anyhow::Result<()> {
    let database = std::path::absolute(place.database()?)?;
    findings.extend(engine::ports(&database));
    let inherited = variables::inherited();
    let outward = match outward::of(&inherited, None) {
        Ok(outward) => outward,
        Err(error) => {
            let remedy = "run --upstream-proxy URL, or none";
            findings.push(Finding::problem("your proxy", error.to_string(), remedy));
            outward::Outward::default()
        }
    };
    let engine = Engine::find_or_bring(place, &outward)?;
    let looked = through(&engine, &inherited, findings);
    engine.close(printer);
    looked
}

fn through(
    engine: &Engine,
    inherited: &variables::Variables,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    findings.extend(engine::store(engine)?);
    let id = Uuid::now_v7().simple().to_string();
    let session = format!("doctor-{}", &id[20..]);
    let upstream = upstream::Upstream::start()?;
    let prepare = |given: &Given<'_>| {
        preparation::prepare(&session, &session::fresh_run(), engine, inherited, given)
    };
    let usual = prepare(&Given::default())?;
    findings.push(probe::round_trip(engine, &upstream, &usual.changes));
    for note in variables::notes(inherited) {
        let remedy = "unset no_proxy for the program, or take the tools' hosts out of it";
        findings.push(Finding::bad(Verdict::Warning, "no_proxy", note, remedy));
    }
    for client in clients::ALL {
        let Some(version) = probe::version(client, &usual.changes) else { continue };
        findings.push(if client.route == Route::JavaOptions {
            match prepare(&Given { java: true, ..Given::default() }) {
                Ok(java) => probe::client(client, &version, &upstream, &java.changes)?,
                Err(error) => {
                    let why = format!("no trust store: {error:#}");
                    Finding::bad(Verdict::Warning, client.name, why, "install a JDK")
                }
            }
        } else {
            probe::client(client, &version, &upstream, &usual.changes)?
        });
    }
    session::complete(&session, engine)
}
