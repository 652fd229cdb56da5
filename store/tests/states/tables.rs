//! The chart and tables of docs/TRANSACTIONS.md, printed from `next` for every reachable state and every
//! event.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use store::model::{EffectClass, ExecutionStatus};
use store::state::Knowledge::{Executed, NotExecuted, Unknown};
use store::state::{Event, Knowledge, State, next};

const BEGIN: &str = "<!-- table:begin -->\n";
const END: &str = "<!-- table:end -->\n";

/// `n`: the newest attempt of a leased state. The tables hold for every n.
const N: u32 = 7;

/// An event and its name in a table's head.
type Named = (Event, &'static str);

fn set_events() -> Vec<Named> {
    ExecutionStatus::ALL.iter().map(|status| (Event::Set(*status), status.as_str())).collect()
}

fn finish_events(attempt: u32) -> Vec<Named> {
    let finish = |outcome, tool_error| Event::Finish { attempt, outcome, tool_error };
    vec![
        (finish(Executed, false), "executed"),
        (finish(Executed, true), "executed, tool error"),
        (finish(NotExecuted, false), "not executed"),
        (finish(Unknown, false), "unknown"),
    ]
}

/// Three events that name no attempt, then the others that do.
fn other_events(attempt: u32) -> Vec<Named> {
    vec![
        (Event::Claim, "claim"),
        (Event::Lost, "lost"),
        (Event::Doubt, "doubt"),
        (Event::Extend { attempt }, "extend"),
        (Event::Release { attempt }, "release"),
        (Event::Verdict { attempt, executed: true }, "verdict: it ran"),
        (Event::Verdict { attempt, executed: false }, "verdict: it did not"),
    ]
}

fn all_events(attempt: u32) -> Vec<Named> {
    [set_events(), other_events(attempt), finish_events(attempt)].concat()
}

/// The same state at another attempt. A state that was never leased stays as it is.
fn at(state: State, n: u32) -> State {
    match state {
        State::Running { prior, .. } => State::Running { attempt: n, prior },
        State::Completed { attempt: 1.., decided } => State::Completed { attempt: n, decided },
        State::Failed { attempt: 1.., known, decided } => {
            State::Failed { attempt: n, known, decided }
        }
        State::InDoubt { prior, released, .. } => State::InDoubt { attempt: n, prior, released },
        unleased => unleased,
    }
}

/// Every state that an execution of a class can reach, each at attempt N.
fn reachable(class: EffectClass) -> Vec<State> {
    let mut found = vec![State::Running { attempt: N, prior: NotExecuted }];
    if class == EffectClass::Once {
        found.insert(0, State::Pending);
    }
    let mut seen = 0;
    while seen < found.len() {
        for (event, _) in all_events(N) {
            if let Ok(after) = next(found[seen], event, class)
                && !found.contains(&at(after, N))
            {
                found.push(at(after, N));
            }
        }
        seen += 1;
    }
    found
}

fn knowledge(known: Knowledge) -> &'static str {
    match known {
        Executed => "executed",
        NotExecuted => "not executed",
        Unknown => "unknown",
    }
}

/// A state in words; `n + 1` if its attempt is the next one.
fn words(state: State) -> String {
    let n = match state.attempt() {
        0 => " (v0.1)",
        N => " n",
        _ => " n + 1",
    };
    let earlier = |prior| match prior {
        NotExecuted => String::new(),
        prior => format!(", earlier: {}", knowledge(prior)),
    };
    let decided = |decided| if decided { ", by decision" } else { "" };
    match state {
        State::Pending => "pending".to_owned(),
        State::Working => "running (v0.1)".to_owned(),
        State::Cancelled => "cancelled".to_owned(),
        State::Running { prior, .. } => format!("running{n}{}", earlier(prior)),
        State::Completed { decided: by, .. } => format!("completed{n}{}", decided(by)),
        State::Failed { attempt: 0, .. } => format!("failed{n}"),
        State::Failed { known, decided: by, .. } => {
            format!("failed{n}, {}{}", knowledge(known), decided(by))
        }
        State::InDoubt { prior, released, .. } => {
            let released = if released { ", released" } else { "" };
            format!("in_doubt{n}{}{released}", earlier(prior))
        }
    }
}

/// The rows: each state, with the classes whose executions reach it.
fn states() -> Vec<(State, Vec<EffectClass>)> {
    let mut rows: Vec<(State, Vec<EffectClass>)> = Vec::new();
    for class in EffectClass::ALL {
        for state in reachable(*class) {
            match rows.iter_mut().find(|(known, _)| *known == state) {
                Some((_, classes)) => classes.push(*class),
                None => rows.push((state, vec![*class])),
            }
        }
    }
    let order = |state: &State| match state {
        State::Pending => 0,
        State::Working => 1,
        State::Running { .. } => 2,
        State::Completed { .. } => 3,
        State::Failed { .. } => 4,
        State::Cancelled => 5,
        State::InDoubt { .. } => 6,
    };
    rows.sort_by_key(|(state, _)| (order(state), state.attempt(), words(*state)));
    rows
}

fn cell(state: State, classes: &[EffectClass], event: Event) -> String {
    let mut results: Vec<(String, Vec<&str>)> = Vec::new();
    for class in classes {
        let result = match next(state, event, *class) {
            Ok(after) if after == state => "stays".to_owned(),
            Ok(after) => words(after),
            Err(_) => "–".to_owned(),
        };
        match results.iter_mut().find(|(known, _)| *known == result) {
            Some((_, classes)) => classes.push(class.as_str()),
            None => results.push((result, vec![class.as_str()])),
        }
    }
    match &results[..] {
        [(only, _)] => only.clone(),
        several => {
            let parts = several.iter().map(|(result, of)| format!("{}: {result}", of.join(", ")));
            parts.collect::<Vec<_>>().join("; ")
        }
    }
}

fn table(title: &str, events: &[Named]) -> String {
    let names: Vec<_> = events.iter().map(|(_, name)| *name).collect();
    let mut text = format!(
        "**{title}**\n\n| state | {} |\n|{}\n",
        names.join(" | "),
        "---|".repeat(events.len() + 1)
    );
    for (state, classes) in states() {
        let cells: Vec<_> = events.iter().map(|(event, _)| cell(state, &classes, *event)).collect();
        if cells.iter().any(|cell| cell != "–") {
            writeln!(text, "| {} | {} |", words(state), cells.join(" | ")).unwrap();
        }
    }
    text
}

/// The events that lead from one status on the wire to another.
fn chart() -> String {
    let mut edges: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for (state, classes) in states() {
        for (event, name) in all_events(N) {
            for class in &classes {
                let Ok(after) = next(state, event, *class) else { continue };
                let (from, to) = (state.status().as_str(), after.status().as_str());
                let name = if matches!(event, Event::Set(_)) { "v0.1 update" } else { name };
                if from != to {
                    edges.entry((from, to)).or_default().insert(name.split(':').next().unwrap());
                }
            }
        }
    }
    let mut text = "```mermaid\nstateDiagram-v2\n".to_owned();
    text.push_str("    [*] --> pending: v0.1 create\n    [*] --> running: claim\n");
    for ((from, to), names) in edges {
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        writeln!(text, "    {from} --> {to}: {names}").unwrap();
    }
    text.push_str("```\n");
    text
}

fn printed() -> String {
    [
        chart(),
        table("A claim is granted or lost; the holder is alive; a doubt is released or settled", &other_events(N)),
        table("The holder reports the outcome of attempt n, in time or late", &finish_events(N)),
        table("v0.1's `update_tool_execution` sets a status", &set_events()),
        "Finishes, extensions, releases and verdicts for an attempt other than n are refused in every state.\n".to_owned(),
    ]
    .join("\n")
}

#[test]
fn the_document_prints_what_next_does() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/TRANSACTIONS.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (there, after) = rest.split_once(END).unwrap();
    let expected = printed();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(there, expected, "UPDATE_DOCS=1 cargo test -p store --test states updates it");
}

#[test]
fn another_attempt_than_the_newest_changes_nothing() {
    for (state, classes) in states() {
        for attempt in [0, N - 1, N + 1] {
            let of_attempt = other_events(attempt).split_off(3);
            for (event, name) in finish_events(attempt).into_iter().chain(of_attempt) {
                for class in &classes {
                    assert!(next(state, event, *class).is_err(), "{state:?} {name} {attempt}");
                }
            }
        }
    }
}

/// Promises that follow from the tables, checked on their own.
#[test]
fn doubt_ends_only_by_evidence_or_decision() {
    for (state, classes) in states() {
        let State::InDoubt { released, .. } = state else { continue };
        for (event, name) in all_events(N) {
            for class in &classes {
                let Ok(after) = next(state, event, *class) else { continue };
                let kept = matches!(after, State::InDoubt { .. });
                let evidence =
                    matches!(event, Event::Finish { outcome: Executed | NotExecuted, .. })
                        || matches!(event, Event::Extend { .. });
                let decision = matches!(event, Event::Verdict { .. })
                    || matches!(event, Event::Claim) && (released || *class == EffectClass::Keyed);
                assert!(kept || evidence || decision, "{state:?} {name} {class:?}");
            }
        }
    }
}

#[test]
fn an_executed_attempt_is_never_forgotten() {
    for (state, classes) in states() {
        if state.outcome() != Some(Executed) {
            continue;
        }
        for (event, name) in all_events(N) {
            for class in &classes {
                if let Ok(after) = next(state, event, *class) {
                    assert_eq!(after.outcome(), Some(Executed), "{state:?} {name}");
                }
            }
        }
    }
}
