//! Figures that do not depend on the machine's noise: fsyncs per call, memory, the time of a restart.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use testkit::{Builder, Engine, Request, Shim};

use super::load::{Numbers, Span};
use super::report::{Goal, Report};
use super::rows::{self, Bed, Row};
use super::servers::Upstream;

/// Fsyncs for a fresh call through the API and through the proxy, in separate runs.
pub(super) fn count_fsyncs(
    report: &mut Report,
    binary: &str,
    folder: &Path,
    upstream: &Upstream,
    span: Span,
) -> anyhow::Result<()> {
    let shim = Shim::build(folder);
    let bed = Bed::fill(shim.preload(rows::builder(binary, upstream)), 1_000, upstream)?;
    let engine = bed.builder.start();
    let rows = bed.rows(&engine, upstream, "fsyncs");
    for (name, goals) in [("API fresh", Some([1.0, 0.25, 0.08])), ("guarded fresh", None)] {
        for (at, connections) in [1, 16, 64].into_iter().enumerate() {
            let row = find(&rows, name)?;
            let before = shim.syncs();
            let run = row.run(connections, span, upstream, Some(&engine))?;
            let per_call = (shim.syncs() - before) as f64 / run.answers as f64;
            let what = format!("fsyncs for a call, {name}, c = {connections}");
            // A checkpoint's own fsyncs do not belong to a commit: the goal leaves a tenth for them.
            if let Some(goals) = goals {
                report.goals.push(Goal::at_most(
                    &what,
                    per_call,
                    if at == 0 { 1.1 } else { goals[at] },
                ));
            }
            if connections == 1 {
                let least = if name == "API fresh" { 1.0 } else { 2.0 };
                report.goals.push(Goal::at_least(format!("{what}, never fewer"), per_call, least));
            }
            report.figures.insert(what, per_call);
        }
    }
    // A slow disk. At c = 1 no commit is shared: each call has its own.
    shim.delay_us(2_000);
    let row = find(&rows, "guarded fresh")?;
    let alone = row.run(1, span, upstream, Some(&engine))?.per_second();
    let shared = row.run(64, span, upstream, Some(&engine))?.per_second();
    report
        .figures
        .insert("calls/s with 2 ms more an fsync, guarded fresh, c = 1".to_owned(), alone);
    report
        .figures
        .insert("calls/s with 2 ms more an fsync, guarded fresh, c = 64".to_owned(), shared);
    let what = "guarded fresh with 2 ms more an fsync, c = 64 / c = 1";
    report.goals.push(Goal::at_least(what, shared / alone, 20.0));
    Ok(())
}

fn find<'a>(rows: &'a [Row], name: &str) -> anyhow::Result<&'a Row> {
    rows.iter()
        .find(|row| row.name.starts_with(name))
        .ok_or_else(|| anyhow::anyhow!("no row {name}"))
}

pub(super) const DISK: &str = "appends of 14 KiB, each with fdatasync, a second";

/// The speed of the disk during this run: a guarded call on one connection waits for two of these appends.
pub(super) fn disk(report: &mut Report, folder: &Path, span: Span) -> anyhow::Result<()> {
    const PAGES: [u8; 14 * 1024] = [1; 14 * 1024];
    let mut file = tempfile::tempfile_in(folder)?;
    let (started, mut appends) = (Instant::now(), 0_u32);
    while started.elapsed() < span.measured {
        file.write_all(&PAGES)?;
        file.sync_data()?;
        appends += 1;
    }
    let per_second = f64::from(appends) / started.elapsed().as_secs_f64();
    report.figures.insert(DISK.to_owned(), per_second);
    Ok(())
}

/// The memory of an idle engine.
pub(super) fn idle_memory(report: &mut Report, binary: &str) {
    let engine = Builder::new(binary).start();
    std::thread::sleep(Duration::from_secs(1));
    let mib = engine.memory_kib("VmRSS") as f64 / 1024.0;
    report.figures.insert("idle memory, MiB".to_owned(), mib);
    report.goals.push(Goal::at_most("idle memory, MiB", mib, 15.0));
}

/// The time from the start of the process, after a kill under load, to the first answer from the store.
/// Once with the WAL that the load left, and once without one: the difference is the checkpoint.
pub(super) fn restart(
    report: &mut Report,
    bed: &Bed,
    upstream: &Upstream,
    label: &str,
) -> anyhow::Result<()> {
    let engine = bed.builder.start();
    let fresh = bed.rows(&engine, upstream, label);
    let span = Span { warm: Duration::ZERO, measured: Duration::from_secs(1) };
    find(&fresh, "guarded fresh")?.run(16, span, upstream, Some(&engine))?;
    let builder = engine.kill();
    let wal = std::fs::metadata(format!("{}-wal", builder.database_path().display()));
    let wal = wal.map(|wal| wal.len()).unwrap_or_default() as f64 / f64::from(1 << 20);
    let (engine, ms) = first_answer(&builder, bed, upstream)?;
    report
        .figures
        .insert(format!("restart to the first answer @ {label}, ms (WAL of {wal:.0} MiB)"), ms);
    let (engine, ms) = first_answer(&engine.kill(), bed, upstream)?;
    report.goals.push(Goal::at_most(
        format!("restart to the first answer @ {label}, ms, beside its checkpoint"),
        ms,
        100.0,
    ));
    let verified = engine.http(&Request::get(&format!("http://{}/healthz", engine.api)));
    ensure!(verified.status == 200, "not healthy after a restart");
    Ok(())
}

/// Starts the engine. Returns it, and the milliseconds until it had answered from its store.
fn first_answer(
    builder: &Builder,
    bed: &Bed,
    upstream: &Upstream,
) -> anyhow::Result<(Engine, f64)> {
    let start = Instant::now();
    let engine = builder.start();
    let known = bed.proxy_shape(&engine, upstream, Numbers::Below(bed.stored));
    let number = format!("{:014}", bed.stored / 2);
    let text = known.request.replace(super::load::PLACE, &number);
    let mut client = testkit::Client::connect(engine.proxy)?;
    client.write(text)?;
    let answer = client.answer("POST")?;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    ensure!(answer.word() == "replayed", "not from the store: {answer:?}");
    Ok((engine, ms))
}
