//! What the documents say, held against the code and the binary.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod contract;
mod links;
mod reference;

use std::fs;
use std::path::{Path, PathBuf};

use testkit::root;

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below `folder` with this ending.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                found.push(path);
            }
        }
    }
    found
}

/// The text from the heading `## title` to the next of its level.
fn part<'a>(document: &'a str, title: &str) -> &'a str {
    let heading = format!("\n## {title}\n");
    let (_, rest) = document.split_once(&heading).unwrap_or_else(|| panic!("no part {title:?}"));
    rest.split("\n## ").next().unwrap()
}

/// The words in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The rows of the tables of a text, as cells; without heads.
fn rows(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<_> = text.lines().collect();
    let is_row = |line: &str| line.starts_with('|');
    lines
        .iter()
        .enumerate()
        .filter(|(n, line)| {
            let head = lines.get(n + 1).is_some_and(|next| next.starts_with("|---"));
            is_row(line) && !line.starts_with("|---") && !head
        })
        .map(|(_, line)| {
            let line = line.replace("\\|", "\u{1}");
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().replace('\u{1}', "|")).collect()
        })
        .collect()
}

#[test]
fn the_architecture_is_short() {
    assert!(read("ARCHITECTURE.md").lines().count() <= 180);
}
