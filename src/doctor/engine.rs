//! The engine itself: ports, store, disk, clock, and what a person has to settle.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use store::Reader;

use super::check::{CheckResult, Severity};
use crate::launch::engine::AttachedEngine;

/// Less free space than this hardly fits an answer of 8 MiB and its log beside the reserve.
const LITTLE: u64 = 512 * 1024 * 1024;

const MIB: u64 = 1024 * 1024;

/// Checks whether `serve` could open its default ports, unless an engine serves the database.
pub(super) fn check_ports(database: &Path) -> Vec<CheckResult> {
    if let Some(holder) = Reader::lock_holder(database) {
        let found = format!("process {} serves the database at {}", holder.pid, holder.api);
        return vec![CheckResult::ok("ports", found)];
    }
    let busy = |flag: &str, port: u16| {
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let error = TcpListener::bind(addr).err()?;
        let remedy = format!("to run `serve`, choose a different one: {flag} IP:PORT");
        Some(CheckResult::bad(Severity::Warning, "ports", format!("{addr}: {error}"), remedy))
    };
    let busy: Vec<_> =
        [busy("--addr", 3030), busy("--proxy-addr", 3031)].into_iter().flatten().collect();
    if busy.is_empty() {
        return vec![CheckResult::ok(
            "ports",
            "3030 and 3031 on the loopback are free for `serve`",
        )];
    }
    busy
}

/// Checks whether the file system under the database is a local one.
pub(super) fn check_file_system(database: &Path) -> CheckResult {
    match store::unsafe_file_system(database) {
        None => CheckResult::ok("file system", "a local one, as far as it says"),
        Some(name) => CheckResult::bad(
            Severity::Warning,
            "file system",
            format!("{name}: its locks and fsyncs are another machine's or program's"),
            "keep the database on a local disk: --database FILE",
        ),
    }
}

/// Checks the store, as the engine and SQLite see it.
pub(super) fn check_store(engine: &AttachedEngine) -> anyhow::Result<Vec<CheckResult>> {
    let mut findings = Vec::new();
    let database = engine.database().display();
    let broken = engine.reader().quick_check()?;
    findings.push(match broken.first() {
        None => CheckResult::ok("store", format!("{database} is sound")),
        Some(first) => CheckResult::problem(
            "store",
            format!("{database} is damaged: {first} (and {} more)", broken.len() - 1),
            "stop the engine, keep a copy of the file, restore a backup",
        ),
    });
    findings.push(check_disk(engine.database())?);
    let ready = engine.client().readiness()?;
    findings.push(if ready.store.clock_jumped {
        let remedy = "check the machine's time; keys expire by the time that passed";
        CheckResult::problem("clock", "it jumped forward", remedy)
    } else {
        CheckResult::ok("clock", "it has not jumped")
    });
    findings.push(if ready.ready {
        CheckResult::ok("engine", format!("accepting calls at {}", engine.api()))
    } else {
        CheckResult::problem("engine", ready.problems.join("; "), "free disk space, or see its log")
    });
    findings.push(match ready.store.in_doubt {
        0 => CheckResult::ok("in doubt", "no calls"),
        n => CheckResult::bad(
            Severity::Warning,
            "in doubt",
            format!("{n} call(s) may have run"),
            "see `executions --status in_doubt`, then `resolve` each",
        ),
    });
    findings.push(match engine.reader().possible_duplicates()? {
        0 => CheckResult::ok("duplicates", "none found"),
        n => CheckResult::bad(
            Severity::Warning,
            "duplicates",
            format!("{n} late answer(s) may come from a second effect"),
            "check with the tool: the event log has them as possible-duplicate",
        ),
    });
    Ok(findings)
}

fn check_disk(database: &Path) -> anyhow::Result<CheckResult> {
    let folder = database.parent().unwrap_or(database);
    let disk = rustix::fs::statvfs(folder)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let found = format!("{} MiB free at {}", free / MIB, folder.display());
    Ok(if free < LITTLE {
        CheckResult::problem(
            "disk",
            found,
            "free disk space, or move the database: --database FILE",
        )
    } else {
        CheckResult::ok("disk", found)
    })
}
