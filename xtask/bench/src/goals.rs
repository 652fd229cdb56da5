//! The goals of the rows, each as a ratio of one run.

use super::CONNECTIONS;
use super::clients::LIBRARIES;
use super::figures::DISK;
use super::report::{Goal, Line, Report};

/// Inserts the goals that are ratios of rows before those of the counted figures.
pub(super) fn judge(report: &mut Report) {
    type Measure = fn(&Line) -> f64;
    const RATE: Measure = |line| line.per_second[0];
    const P99: Measure = |line| line.p99;
    let ratio = |report: &Report, ours: &str, theirs: &str, c: usize, measure: Measure| {
        Some(measure(report.find(ours, c)?) / measure(report.find(theirs, c)?))
    };
    let at_least: &[(&str, &str, [f64; 3])] = &[
        ("API fresh @ 10,000", "Restate fresh", [10.0, 15.0, 15.0]),
        ("API duplicate @ 10,000", "Restate duplicate", [8.0, 5.0, 4.0]),
        ("guarded fresh @ 10,000", "mitmdump POST", [3.0, 12.0, 18.0]),
        ("guarded fresh @ 10,000", "squid POST", [0.5, 1.2, 1.2]),
        ("guarded duplicate @ 10,000", "bare hop POST", [2.0, 2.0, 2.0]),
        ("passthrough GET @ 10,000", "bare hop GET", [0.9, 0.9, 0.9]),
        ("intercepted GET @ 10,000", "mitmdump https GET", [20.0, 20.0, 20.0]),
        ("intercepted fresh @ 10,000", "mitmdump https POST", [10.0, 10.0, 10.0]),
        ("guarded fresh @ 1,000,000", "guarded fresh @ 10,000", [0.75, 0.75, 0.75]),
        ("guarded duplicate @ 1,000,000", "guarded duplicate @ 10,000", [0.75, 0.75, 0.75]),
        ("API fresh @ 1,000,000", "API fresh @ 10,000", [0.75, 0.75, 0.75]),
        ("API duplicate @ 1,000,000", "API duplicate @ 10,000", [0.75, 0.75, 0.75]),
    ];
    let mut found = Vec::new();
    for (ours, theirs, wanted) in at_least {
        for (c, goal) in CONNECTIONS.into_iter().zip(wanted) {
            if let Some(ratio) = ratio(report, ours, theirs, c, RATE) {
                found.push(Goal::at_least(
                    format!("{ours} / {theirs}, calls/s, c = {c}"),
                    ratio,
                    *goal,
                ));
            }
        }
    }
    for c in [16, 64] {
        if let Some(ratio) = ratio(report, "API fresh @ 10,000", "Restate fresh", c, P99) {
            found.push(Goal::at_most(
                format!("API fresh / Restate fresh, p99, c = {c}"),
                ratio,
                0.1,
            ));
        }
    }
    let added = |ours: &str, theirs: &str| {
        Some((report.find(ours, 1)?.p50 - report.find(theirs, 1)?.p50) / 1_000.0)
    };
    if let Some(added) = added("guarded fresh @ 10,000", "direct POST") {
        found.push(Goal::at_most("guarded fresh, added p50 at c = 1, ms", added, 0.5));
    }
    if let Some(added) = added("passthrough GET @ 10,000", "bare hop GET") {
        found.push(Goal::at_most("passthrough over the hop, added p50 at c = 1, ms", added, 0.05));
    }
    found.extend(real_clients(report));
    if let Some(cpu) = report.find("API fresh @ 10,000", 64).and_then(|line| line.cpu_us) {
        found.push(Goal::at_most("API fresh, CPU µs for a call, c = 64", cpu, 110.0));
    }
    if let Some(written) = report.find("guarded fresh @ 10,000", 16).and_then(|line| line.written) {
        found.push(Goal::at_most(
            "guarded fresh, KiB written for a call, c = 16",
            written / 1024.0,
            10.0,
        ));
    }
    report.goals.splice(0..0, found);
}

/// A fresh call of a real client costs a millisecond and two fsyncs more than without a proxy. A duplicate
/// is answered sooner than a tool answers on a fresh connection.
fn real_clients(report: &Report) -> Vec<Goal> {
    let ms = |name: String| Some(report.find(&name, 1)?.p50 / 1_000.0);
    let syncs = report.figures.get(DISK).map_or(0.0, |per_second| 2.0 * 1_000.0 / per_second);
    let fresh = LIBRARIES.into_iter().filter_map(|library| {
        let added = ms(format!("{library}: engine"))? - ms(format!("{library}: direct"))?;
        let what = format!("{library}: fresh, added p50, ms (1 and two fsyncs)");
        Some(Goal::at_most(what, added, 1.0 + syncs))
    });
    let alone = ms("requests: direct".to_owned());
    let duplicate = ["requests session", "requests"].into_iter().filter_map(|library| {
        let duplicate = ms(format!("{library}: engine, duplicate"))?;
        let what = format!("{library}: duplicate / direct on a fresh connection, p50");
        Some(Goal::at_most(what, duplicate / alone?, 1.0))
    });
    fresh.chain(duplicate).collect()
}
