//! Medians of interleaved rounds, as a table and as JSON; goals as ratios of one run.

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::load::Run;

/// A row at one number of connections.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) connections: usize,
    /// Calls per second: median, least and most of the rounds.
    pub(super) per_second: [f64; 3],
    /// In microseconds, medians of the rounds.
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    /// The engine's CPU time for a call, in microseconds. Peers have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_us: Option<f64>,
    /// Bytes that the engine wrote for a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) written: Option<f64>,
    /// Bytes that were read from the disk for a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) read: Option<f64>,
    /// Answers with the right body, in all rounds. The upstream's count agreed.
    pub(super) verified: u64,
}

/// The rounds of one line.
#[derive(Default)]
pub(super) struct Rounds {
    runs: Vec<Run>,
    cpu_us: Vec<f64>,
    written: Vec<f64>,
    read: Vec<f64>,
}

impl Rounds {
    pub(super) fn push(&mut self, run: Run, cost: Option<super::process::Cost>) {
        if let Some(cost) = cost {
            self.cpu_us.push(cost.cpu * 1e6 / run.answers as f64);
            self.written.push(cost.written as f64 / run.answers as f64);
            self.read.push(cost.read as f64 / run.answers as f64);
        }
        self.runs.push(run);
    }

    pub(super) fn line(&self, name: &str, connections: usize) -> Line {
        let rates: Vec<f64> = self.runs.iter().map(Run::per_second).collect();
        let quantile = |part: f64| median(self.runs.iter().map(|run| run.quantile(part)).collect());
        let optional = |values: &Vec<f64>| (!values.is_empty()).then(|| median(values.clone()));
        Line {
            name: name.to_owned(),
            connections,
            per_second: [
                median(rates.clone()),
                rates.iter().copied().fold(f64::INFINITY, f64::min),
                rates.iter().copied().fold(0.0, f64::max),
            ],
            p50: quantile(0.5),
            p99: quantile(0.99),
            p999: quantile(0.999),
            cpu_us: optional(&self.cpu_us),
            written: optional(&self.written),
            read: optional(&self.read),
            verified: self.runs.iter().map(|run| run.answers).sum(),
        }
    }
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// A goal, next to what was measured.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Goal {
    pub(super) what: String,
    pub(super) measured: f64,
    pub(super) wanted: f64,
    /// The measured value must be at least `wanted`; otherwise at most.
    pub(super) at_least: bool,
    pub(super) reached: bool,
}

impl Goal {
    pub(super) fn at_least(what: impl Into<String>, measured: f64, wanted: f64) -> Self {
        Self { what: what.into(), measured, wanted, at_least: true, reached: measured >= wanted }
    }

    pub(super) fn at_most(what: impl Into<String>, measured: f64, wanted: f64) -> Self {
        Self { what: what.into(), measured, wanted, at_least: false, reached: measured <= wanted }
    }
}

/// The results of one run of the benchmark.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) machine: String,
    pub(super) rounds: usize,
    pub(super) seconds_a_round: f64,
    pub(super) lines: Vec<Line>,
    /// Rows that are not shown, and why.
    pub(super) missing: Vec<String>,
    /// Figures by name: counts of fsyncs, memory, the time of a restart.
    pub(super) figures: BTreeMap<String, f64>,
    pub(super) goals: Vec<Goal>,
    /// Rows compared with those of another build, if one was given.
    pub(super) compared: Vec<super::before::Compared>,
}

impl Report {
    /// The line of a row, if it was measured.
    pub(super) fn find(&self, name: &str, connections: usize) -> Option<&Line> {
        self.lines.iter().find(|line| line.name == name && line.connections == connections)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}; medians of {} interleaved rounds of {} s; every body and the upstream's count verified",
            self.machine, self.rounds, self.seconds_a_round
        )?;
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header([
            "row",
            "c",
            "calls/s",
            "min",
            "max",
            "p50 µs",
            "p99 µs",
            "p99.9 µs",
            "CPU µs",
            "KiB written",
            "KiB read",
            "verified",
        ]);
        for line in &self.lines {
            let optional =
                |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.1}"));
            let [median, least, most] = line.per_second.map(|rate| format!("{rate:.0}"));
            table.add_row([
                line.name.clone(),
                line.connections.to_string(),
                median,
                least,
                most,
                format!("{:.0}", line.p50),
                format!("{:.0}", line.p99),
                format!("{:.0}", line.p999),
                optional(line.cpu_us),
                optional(line.written.map(|bytes| bytes / 1024.0)),
                optional(line.read.map(|bytes| bytes / 1024.0)),
                line.verified.to_string(),
            ]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{table}")?;
        for (name, value) in &self.figures {
            writeln!(f, "{name}: {value:.2}")?;
        }
        for goal in &self.goals {
            let word = if goal.reached { "reached" } else { "MISSED " };
            let sign = if goal.at_least { "≥" } else { "≤" };
            writeln!(
                f,
                "{word} {}: {:.2} (goal {sign} {})",
                goal.what, goal.measured, goal.wanted
            )?;
        }
        for compared in &self.compared {
            writeln!(f, "{compared}")?;
        }
        for missing in &self.missing {
            writeln!(f, "missing: {missing}")?;
        }
        Ok(())
    }
}
