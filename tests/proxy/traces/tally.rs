//! Counts what was lost and what got through.

use std::collections::BTreeMap;

use super::written::{Kind, Label, Trace};

/// Requests that were treated against their label.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Of a kind: how many were wanted, how many of these were lost, how many duplicates got through.
    kinds: BTreeMap<Kind, [usize; 3]>,
    /// A few of the traces that went wrong.
    examples: Vec<String>,
}

impl Tally {
    pub(super) fn count(&mut self, trace: &Trace, words: &[String], hits: usize) {
        let wanted = trace.steps.iter().filter(|step| step.label == Label::Wanted).count();
        let (mut lost, mut through) = (0, 0);
        for (step, word) in trace.steps.iter().zip(words) {
            match (step.label, word.as_str()) {
                (Label::Wanted, "executed" | "unread")
                | (Label::Duplicate, "replayed" | "coalesced") => {}
                (Label::Wanted, _) => lost += 1,
                (Label::Duplicate, _) => through += 1,
            }
        }
        // What the answers say must be what the tool saw.
        lost = lost.max(wanted.saturating_sub(hits));
        through = through.max(hits.saturating_sub(wanted));
        let kind = self.kinds.entry(trace.kind).or_default();
        for (sum, n) in kind.iter_mut().zip([wanted, lost, through]) {
            *sum += n;
        }
        if lost + through > 0 && self.examples.len() < 5 {
            let steps = trace.steps.iter().zip(words);
            let steps: Vec<_> = steps
                .map(|(step, word)| format!("{:?} {:?}: {word}", step.label, step.way))
                .collect();
            self.examples
                .push(format!("{:?} {}, {hits} effects: {steps:?}", trace.kind, trace.path));
        }
    }

    pub(super) fn sum(&self, column: usize) -> usize {
        self.kinds.values().map(|counts| counts[column]).sum()
    }
}
