//! Checks whether everything works here: the engine itself, and each client on PATH.

mod check;
mod clients;
mod engine;
mod probe;
mod upstream;

use uuid::Uuid;

pub(crate) use self::check::{CheckResult, Severity};
use self::clients::ProxyRoute;
use crate::config::Target;
use crate::exit::ExitStatus;
use crate::launch::engine::AttachedEngine;
use crate::launch::preparation::{self, Extras};
use crate::launch::{session, upstream_proxy, variables};
use crate::printer::Printer;

/// Runs every check, even if the first one finds a problem.
pub(crate) fn examine(target: &Target, printer: &mut Printer) -> Vec<CheckResult> {
    let mut findings = Vec::new();
    if let Err(error) = run_checks(target, &mut findings, printer) {
        let remedy = "read the error; the log of `serve` has more";
        findings.push(CheckResult::problem("engine", format!("{error:#}"), remedy));
    }
    findings
}

fn run_checks(
    target: &Target,
    findings: &mut Vec<CheckResult>,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let database = std::path::absolute(target.database()?)?;
    findings.extend(engine::check_ports(&database));
    findings.push(engine::check_file_system(&database));
    let inherited = variables::inherited();
    let upstream_proxy = match upstream_proxy::configured(&inherited, None) {
        Ok(upstream_proxy) => upstream_proxy,
        Err(error) => {
            let remedy = "run --upstream-proxy URL, or none";
            findings.push(CheckResult::problem("your proxy", error.to_string(), remedy));
            upstream_proxy::UpstreamProxies::default()
        }
    };
    for note in upstream_proxy.notes() {
        let remedy = "unset one of them, or use --upstream-proxy";
        findings.push(CheckResult::bad(Severity::Warning, "your proxy", note.clone(), remedy));
    }
    let engine = AttachedEngine::attach_or_start(target, &upstream_proxy)?;
    let checked = check_through_engine(&engine, &inherited, findings);
    let closed = engine.close(Ok(ExitStatus::Done), printer);
    checked.and(closed.map(drop))
}

fn check_through_engine(
    engine: &AttachedEngine,
    inherited: &variables::Variables,
    findings: &mut Vec<CheckResult>,
) -> anyhow::Result<()> {
    findings.extend(engine::check_store(engine)?);
    let id = Uuid::now_v7().simple().to_string();
    let session = format!("doctor-{}", &id[20..]);
    let upstream = upstream::ProbeUpstream::start()?;
    let prepare = |given: &Extras<'_>| {
        preparation::prepare(&session, &session::new_run(), engine, inherited, given)
    };
    let prepared = prepare(&Extras::default())?;
    findings.push(probe::round_trip(engine, &upstream, &prepared.changes));
    for note in variables::notes(inherited) {
        let remedy = "unset no_proxy for the program, or remove the tools' hosts from it";
        findings.push(CheckResult::bad(Severity::Warning, "no_proxy", note, remedy));
    }
    for client in clients::ALL {
        let Some(version) = probe::version(client, &prepared.changes) else { continue };
        findings.push(if client.route == ProxyRoute::JavaOptions {
            match prepare(&Extras { java: true, ..Extras::default() }) {
                Ok(java) => probe::check_client(client, &version, &upstream, &java.changes)?,
                Err(error) => {
                    let why = format!("no trust store: {error:#}");
                    CheckResult::bad(Severity::Warning, client.name, why, "install a JDK")
                }
            }
        } else {
            probe::check_client(client, &version, &upstream, &prepared.changes)?
        });
    }
    session::complete(&session, engine)
}
