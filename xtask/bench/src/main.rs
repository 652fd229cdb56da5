//! `cargo xtask bench`: compares the engine with no proxy, a bare hop and other programs, in one run of
//! interleaved rounds. A row with wrong answers or hits is not shown.

mod before;
mod clients;
mod figures;
mod goals;
mod load;
mod peers;
mod process;
mod report;
mod rows;
mod servers;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use testkit::Engine;

use self::clients::Clients;
use self::load::{Numbers, PLACE, Shape, Span};
use self::process::Cost;
use self::report::{Report, Rounds};
use self::rows::{Bed, Effects, Load, Row};
use self::servers::{Hop, Upstream};

/// Compare the engine with no proxy, a bare hop and, with --peers, other programs
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench")]
struct Args {
    /// Install and start Restate (npm), mitmdump (`PyPI`) and squid (Debian) and measure them too
    #[arg(long)]
    peers: bool,

    /// Measure this other build of the engine in the same rounds, and compare each row with it
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,

    /// Run for a minute instead of a quarter of an hour: short rounds, and no store of 1,000,000
    #[arg(long)]
    quick: bool,
}

/// The store that each round gets a copy of: a small one would grow under the load.
const SMALL: &str = "10,000";

const CONNECTIONS: [usize; 3] = [1, 16, 64];

/// Prints the table and writes it as JSON to `target/bench/report.json`.
fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("its folder")?;
    let root = xtask.parent().context("the workspace")?.to_owned();
    let folder = root.join("target/bench");
    fs::create_dir_all(&folder)?;
    let binary = build(&root)?;
    let upstream = Upstream::start()?;
    let bench = Bench::new(&args, &binary, &upstream, &root)?;
    let mut report = bench.measure()?;
    figures::disk(&mut report, &folder, bench.span)?;
    note("fsyncs");
    figures::count_fsyncs(&mut report, &binary, &folder, &upstream, bench.span)?;
    figures::idle_memory(&mut report, &binary);
    for (label, bed) in &bench.beds {
        figures::restart(&mut report, bed, &upstream, label)?;
    }
    goals::judge(&mut report);
    report.compared = before::compare(&report.lines);
    fs::write(folder.join("report.json"), serde_json::to_string_pretty(&report)?)?;
    say(&report.to_string());
    let spoiled = report.missing.iter().any(|missing| missing.starts_with("row "));
    ensure!(!spoiled, "a row was spoiled by a wrong answer");
    Ok(())
}

fn build(root: &Path) -> anyhow::Result<String> {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--package", "openclaw-state-engine"])
        .current_dir(root)
        .status()?;
    if !status.success() {
        bail!("cargo build --release: {status}");
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("release/openclaw-state-engine").display().to_string())
}

/// Measures a row; for an engine, with its costs.
type Measure<'a> = dyn FnMut(&Row, Option<&Engine>) -> anyhow::Result<()> + 'a;

struct Bench<'a> {
    rounds: usize,
    span: Span,
    binary: &'a str,
    /// Another build of the engine, to compare with.
    before: Option<String>,
    upstream: &'a Upstream,
    hop: Hop,
    /// Stores, by the text of their size.
    beds: Vec<(&'static str, Bed)>,
    clients: Clients,
    peers: Vec<peers::Peer>,
    missing: Vec<String>,
}

impl<'a> Bench<'a> {
    fn new(
        args: &Args,
        binary: &'a str,
        upstream: &'a Upstream,
        root: &Path,
    ) -> anyhow::Result<Self> {
        let sizes: &[(&str, u64)] = if args.quick {
            &[("10,000", 10_000)]
        } else {
            &[("10,000", 10_000), ("1,000,000", 1_000_000)]
        };
        let mut beds = Vec::new();
        for (label, size) in sizes {
            note(&format!("a store of {label} executions"));
            let bed = match &args.before {
                // An older build opens no store that this one has migrated.
                Some(before) => {
                    let before = before.display().to_string();
                    Bed::fill(rows::builder(&before, upstream), *size, upstream)?
                        .copy(binary, upstream)?
                }
                None => Bed::fill(rows::builder(binary, upstream), *size, upstream)?,
            };
            beds.push((*label, bed));
        }
        let (clients, mut missing) = Clients::find(root);
        let (peers, without) =
            if args.peers { peers::start(root, upstream, &clients) } else { Default::default() };
        missing.extend(without);
        let millis = if args.quick { [100, 500] } else { [300, 2_000] };
        let [warm, measured] = millis.map(Duration::from_millis);
        Ok(Self {
            rounds: if args.quick { 3 } else { 5 },
            span: Span { warm, measured },
            binary,
            before: args.before.as_ref().map(|file| file.display().to_string()),
            upstream,
            hop: Hop::start()?,
            beds,
            clients,
            peers,
            missing,
        })
    }

    fn measure(&self) -> anyhow::Result<Report> {
        let mut report = Report {
            machine: machine(),
            rounds: self.rounds,
            seconds_a_round: self.span.measured.as_secs_f64(),
            missing: self.missing.clone(),
            ..Report::default()
        };
        let mut spoiled: BTreeMap<String, String> = BTreeMap::new();
        for connections in CONNECTIONS {
            let mut order: Vec<String> = Vec::new();
            let mut rounds: BTreeMap<String, Rounds> = BTreeMap::new();
            for round in 1..=self.rounds {
                note(&format!("{connections} connections, round {round} of {}", self.rounds));
                self.round(round, &mut |row: &Row, engine: Option<&Engine>| {
                    let alone = matches!(row.load, Load::Program(_));
                    if spoiled.contains_key(&row.name) || alone && connections > 1 {
                        return Ok(());
                    }
                    let cost = |engine: &Engine| Cost::of(engine.pid());
                    let before = engine.map(cost).transpose()?;
                    match row.run(connections, self.span, self.upstream, engine) {
                        Ok(run) => {
                            let after = engine.map(cost).transpose()?;
                            let cost = after.zip(before).map(|(after, before)| after.since(before));
                            if !rounds.contains_key(&row.name) {
                                order.push(row.name.clone());
                            }
                            rounds.entry(row.name.clone()).or_default().push(run, cost);
                        }
                        Err(error) => {
                            note(&format!("spoiled: {error:#}"));
                            spoiled.insert(row.name.clone(), format!("{error:#}"));
                        }
                    }
                    Ok(())
                })?;
            }
            for name in order.iter().filter(|name| !spoiled.contains_key(*name)) {
                report.lines.push(rounds[name].line(name, connections));
            }
        }
        report.lines.retain(|line| !spoiled.contains_key(&line.name));
        report.missing.extend(spoiled.into_iter().map(|(name, why)| format!("row {name}: {why}")));
        Ok(report)
    }

    /// Each row once, in the same order each time.
    fn round(&self, round: usize, measure: &mut Measure<'_>) -> anyhow::Result<()> {
        for row in self.plain_rows() {
            measure(&row, None)?;
        }
        for (label, bed) in &self.beds {
            if *label == SMALL {
                self.small_store(bed, label, round, measure)?;
            } else {
                self.engine_rows(bed, "", label, measure)?;
            }
        }
        for row in self.peers.iter().flat_map(|peer| &peer.rows) {
            measure(row, None)?;
        }
        Ok(())
    }

    /// The rows of a copy of `bed`, for this build and the one before it. The order changes from round to
    /// round, because the second build finds a warmer machine.
    fn small_store(
        &self,
        bed: &Bed,
        label: &str,
        round: usize,
        measure: &mut Measure<'_>,
    ) -> anyhow::Result<()> {
        let mut builds = vec![(self.binary, "")];
        builds.extend(self.before.as_deref().map(|binary| (binary, before::PREFIX)));
        if round.is_multiple_of(2) {
            builds.reverse();
        }
        for (binary, prefix) in builds {
            self.engine_rows(&bed.copy(binary, self.upstream)?, prefix, label, measure)?;
        }
        Ok(())
    }

    fn engine_rows(
        &self,
        bed: &Bed,
        prefix: &str,
        label: &str,
        measure: &mut Measure<'_>,
    ) -> anyhow::Result<()> {
        let engine = bed.builder.start();
        let mut rows = bed.rows(&engine, self.upstream, label);
        if label == SMALL {
            rows.extend(self.clients.rows("engine", Some(engine.proxy), self.upstream, true));
        }
        for mut row in rows {
            row.name.insert_str(0, prefix);
            measure(&row, Some(&engine))?;
        }
        engine.terminate();
        let (status, _) = engine.wait();
        ensure!(status.success(), "the engine ended with {status}");
        Ok(())
    }

    fn plain_rows(&self) -> Vec<Row> {
        let numbers = || Numbers::Fresh(Arc::new(AtomicU64::new(0)));
        let host = format!("Host: {}\r\n", self.upstream.addr);
        let absolute = format!("http://{}", self.upstream.addr);
        let row = |name: &str, addr, shape| Row {
            name: name.to_owned(),
            addr,
            load: Load::Own(shape),
            effects: Effects::Each,
        };
        let hop = self.hop.addr;
        let rows = vec![
            row("direct POST", self.upstream.addr, Shape::post("/post", &host, numbers())),
            row(
                "direct GET",
                self.upstream.addr,
                Shape::get(&format!("/get/{PLACE}"), &host, numbers()),
            ),
            row("bare hop POST", hop, Shape::post(&format!("{absolute}/post"), &host, numbers())),
            row(
                "bare hop GET",
                hop,
                Shape::get(&format!("{absolute}/get/{PLACE}"), &host, numbers()),
            ),
        ];
        rows.into_iter().chain(self.clients.rows("direct", None, self.upstream, false)).collect()
    }
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown CPU");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores, {model}")
}

#[expect(clippy::print_stdout, reason = "the table is what the command is for")]
fn say(text: &str) {
    print!("{text}");
}

#[expect(clippy::print_stderr, reason = "a run takes minutes: people want to see progress")]
fn note(text: &str) {
    eprintln!("bench: {text}");
}
