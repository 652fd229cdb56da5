//! Compares two builds of the engine, row by row, in one run.

use std::fmt;

use serde::Serialize;

use super::report::Line;

/// The prefix of the names of the other build's rows.
pub(super) const PREFIX: &str = "before: ";

/// A row of both builds at one number of connections.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Compared {
    name: String,
    connections: usize,
    /// Median calls per second, this build over the one before.
    ratio: f64,
    /// The best round of this build was slower than the worst round of the one before.
    worse: bool,
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.worse { "WORSE  " } else { "as fast" };
        write!(f, "{word} {} at {}: {:.2} x before", self.name, self.connections, self.ratio)
    }
}

/// Pairs the rows of `lines` that both builds have.
pub(super) fn compare(lines: &[Line]) -> Vec<Compared> {
    let pairs = lines.iter().filter_map(|line| {
        let name = format!("{PREFIX}{}", line.name);
        let before = lines
            .iter()
            .find(|before| before.name == name && before.connections == line.connections)?;
        let ([now, _, most], [then, least, _]) = (line.per_second, before.per_second);
        Some(Compared {
            name: line.name.clone(),
            connections: line.connections,
            ratio: now / then,
            worse: most < least,
        })
    });
    pairs.collect()
}
