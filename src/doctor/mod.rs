//! Whether everything works here: the engine itself, and each client that is found on PATH.

mod clients;
mod engine;
mod finding;
mod probe;
mod upstream;

use uuid::Uuid;

use self::clients::ProxyRoute;
pub(crate) use self::finding::{CheckResult, Severity};
use crate::config::Target;
use crate::launch::engine::AttachedEngine;
use crate::launch::preparation::{self, Extras};
use crate::launch::{outward, session, variables};
use crate::printer::Printer;

/// All that is found, also where the first thing is wrong already.
pub(crate) fn examine(target: &Target, printer: &mut Printer) -> Vec<CheckResult> {
    let mut findings = Vec::new();
    if let Err(error) = look(target, &mut findings, printer) {
        let remedy = "see what it says; `serve` says more in its log";
        findings.push(CheckResult::problem("engine", format!("{error:#}"), remedy));
    }
    findings
}

fn look(
    target: &Target,
    findings: &mut Vec<CheckResult>,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let database = std::path::absolute(target.database()?)?;
    findings.extend(engine::ports(&database));
    let inherited = variables::inherited();
    let outward = match outward::of(&inherited, None) {
        Ok(outward) => outward,
        Err(error) => {
            let remedy = "run --upstream-proxy URL, or none";
            findings.push(CheckResult::problem("your proxy", error.to_string(), remedy));
            outward::Outward::default()
        }
    };
    let engine = AttachedEngine::find_or_bring(target, &outward)?;
    let looked = through(&engine, &inherited, findings);
    engine.close(printer);
    looked
}

fn through(
    engine: &AttachedEngine,
    inherited: &variables::Variables,
    findings: &mut Vec<CheckResult>,
) -> anyhow::Result<()> {
    findings.extend(engine::store(engine)?);
    let id = Uuid::now_v7().simple().to_string();
    let session = format!("doctor-{}", &id[20..]);
    let upstream = upstream::ProbeUpstream::start()?;
    let prepare = |given: &Extras<'_>| {
        preparation::prepare(&session, &session::fresh_run(), engine, inherited, given)
    };
    let usual = prepare(&Extras::default())?;
    findings.push(probe::round_trip(engine, &upstream, &usual.changes));
    for note in variables::notes(inherited) {
        let remedy = "unset no_proxy for the program, or take the tools' hosts out of it";
        findings.push(CheckResult::bad(Severity::Warning, "no_proxy", note, remedy));
    }
    for client in clients::ALL {
        let Some(version) = probe::version(client, &usual.changes) else { continue };
        findings.push(if client.route == ProxyRoute::JavaOptions {
            match prepare(&Extras { java: true, ..Extras::default() }) {
                Ok(java) => probe::client(client, &version, &upstream, &java.changes)?,
                Err(error) => {
                    let why = format!("no trust store: {error:#}");
                    CheckResult::bad(Severity::Warning, client.name, why, "install a JDK")
                }
            }
        } else {
            probe::client(client, &version, &upstream, &usual.changes)?
        });
    }
    session::complete(&session, engine)
}
