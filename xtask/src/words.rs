//! `cargo xtask words`: finds the words that `xtask/words.toml` replaces with plain ones.

mod lexer;
mod pieces;

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, bail, ensure};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::command::{program, root};
use lexer::{Kind, Piece};
use pieces::{Language, pieces};

/// Find words that STYLE.md replaces with plain ones
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Check only the tracked files that match this git pathspec, such as '*.md' or src/cli; repeatable
    #[arg(long = "path", value_name = "PATHSPEC")]
    paths: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let paths: Vec<_> = args.paths.iter().map(String::as_str).collect();
    check(&paths)
}

/// Fails if a tracked file that matches one of the git pathspecs has a word of the list. An empty list
/// of pathspecs means every file.
pub(crate) fn check(paths: &[&str]) -> anyhow::Result<()> {
    eprintln!("==> words");
    let list = fs::read_to_string(root().join("xtask/words.toml")).context("xtask/words.toml")?;
    let list: List = toml::from_str(&list).context("xtask/words.toml")?;
    let mut found = 0;
    for file in tracked(paths)? {
        let Some(language) = Language::of(&file) else { continue };
        if list.skip.iter().any(|skipped| file.starts_with(skipped)) {
            continue;
        }
        // A file that git tracks may be deleted in the working folder.
        let Ok(source) = fs::read_to_string(root().join(&file)) else { continue };
        for (line, word, say) in list.find(&source, language) {
            eprintln!("{file}:{line}: {word} -> {say}");
            found += 1;
        }
    }
    ensure!(found == 0, "{found} words to replace; STYLE.md says with what, and why");
    Ok(())
}

fn tracked(paths: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut git = program("git", &root());
    let output = git.args(["ls-files", "-z", "--"]).args(paths).output().context("git ls-files")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout).context("git ls-files")?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

/// `xtask/words.toml`, which describes its fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    allow: Vec<String>,
    skip: Vec<String>,
    words: Vec<Word>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    pattern: Pattern,
    unless: Option<Pattern>,
    say: String,
    #[serde(rename = "where")]
    kinds: Vec<Kind>,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Pattern(Regex);

impl TryFrom<String> for Pattern {
    type Error = regex::Error;

    fn try_from(pattern: String) -> Result<Self, regex::Error> {
        let pattern = format!(r"\b(?:{})\b", pattern.replace(' ', r"\s+"));
        RegexBuilder::new(&pattern).case_insensitive(true).build().map(Self)
    }
}

impl Word {
    /// Where the word begins in `text`, and the text that matched.
    fn find<'a>(&self, text: &'a str) -> Vec<(usize, &'a str)> {
        let fine: Vec<_> = self.unless.iter().flat_map(|unless| unless.0.find_iter(text)).collect();
        let overlaps = |found: &regex::Match<'_>| {
            fine.iter().any(|one| one.start() < found.end() && found.start() < one.end())
        };
        let found = self.pattern.0.find_iter(text).filter(|found| !overlaps(found));
        found.map(|found| (found.start(), found.as_str())).collect()
    }
}

impl List {
    /// The line, the word as written, and the word to use instead. An identifier is found once per file.
    fn find(&self, source: &str, language: Language) -> Vec<(usize, String, &str)> {
        let (mut found, mut names) = (Vec::new(), BTreeSet::new());
        for piece in pieces(source, language) {
            let text = self.searched(&piece);
            for word in self.words.iter().filter(|word| word.kinds.contains(&piece.kind)) {
                for (start, written) in word.find(&text) {
                    let is_name = piece.kind == Kind::Identifiers;
                    if is_name && !names.insert((piece.text.clone(), &word.say)) {
                        continue;
                    }
                    let line = piece.line + text[..start].matches('\n').count();
                    let written = if is_name { &piece.text } else { written };
                    let written = written.split_whitespace().collect::<Vec<_>>().join(" ");
                    found.push((line, written, word.say.as_str()));
                }
            }
        }
        found.sort();
        found
    }

    /// The text of a piece as words, without the allowed texts. Line breaks stay.
    fn searched(&self, piece: &Piece) -> String {
        if piece.kind != Kind::Identifiers {
            let allowed = self.allow.iter();
            return allowed.fold(piece.text.clone(), |text, one| text.replace(one.as_str(), "·"));
        }
        if self.allow.contains(&piece.text) { String::new() } else { spaced(&piece.text) }
    }
}

/// The words of an identifier: `TakenBody` as `Taken Body`, `MAX_BODY` as `MAX BODY`.
fn spaced(name: &str) -> String {
    let mut words = String::new();
    let mut before = ' ';
    for letter in name.chars() {
        if letter.is_uppercase() && before.is_lowercase() {
            words.push(' ');
        }
        words.push(if letter == '_' { ' ' } else { letter });
        before = letter;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str, language: Language) -> Vec<String> {
        let list: List = toml::from_str(
            r#"
            allow = ["told_at"]
            skip = []
            words = [
                { pattern = "told|tells?", say = "said", where = ["identifiers", "docs", "messages"] },
                { pattern = "taken", say = "buffered", where = ["identifiers"] },
                { pattern = "brought along", say = "started", where = ["docs", "messages"] },
                { pattern = "(is|are) no [a-z]+", say = "is not a", where = ["docs"], unless = "there (is|are) no|no longer" },
            ]
            "#,
        )
        .unwrap();
        let found = list.find(source, language);
        found.iter().map(|(line, word, say)| format!("{line}: {word} -> {say}")).collect()
    }

    #[test]
    fn a_word_is_found_in_any_case_and_only_whole() {
        let text = "Told once,\nuntold never.\n\nIt TELLS.\n";
        assert_eq!(found(text, Language::Markdown), ["1: Told -> said", "4: TELLS -> said"]);
    }

    #[test]
    fn words_of_a_pattern_can_be_on_two_lines() {
        let text = "An engine that is brought\n  along\n";
        assert_eq!(found(text, Language::Markdown), ["1: brought along -> started"]);
        let code = "fn f() {}\n    /// An engine that is brought\n    /// along.\n";
        assert_eq!(found(code, Language::Rust), ["2: brought along -> started"]);
    }

    #[test]
    fn code_in_prose_and_targets_of_links_are_not_checked() {
        let text =
            "A `told` [link](docs/told.md).\n\n```sh\ntold\n```\n\n~~~\ntold\n~~~\n\nIs told.\n";
        assert_eq!(found(text, Language::Markdown), ["11: told -> said"]);
    }

    #[test]
    fn an_identifier_is_found_by_its_words_once() {
        let code = "struct TakenBody { told: u8 }\nfn taken_whole(told: u8) { untaken(told) }\nconst TAKEN: u8 = 1;\n";
        let expected = [
            "1: TakenBody -> buffered",
            "1: told -> said",
            "2: taken_whole -> buffered",
            "3: TAKEN -> buffered",
        ];
        assert_eq!(found(code, Language::Rust), expected);
    }

    #[test]
    fn words_for_identifiers_only_are_fine_in_prose() {
        assert!(found("// It is taken.\nfn f() { g(\"taken\") }\n", Language::Rust).is_empty());
    }

    #[test]
    fn exceptions_and_allowed_texts_are_fine() {
        let text = "There is no key. It is no longer held. A key is no token. told_at stays.\n";
        assert_eq!(found(text, Language::Markdown), ["1: is no token -> is not a"]);
        assert!(found("struct Row { told_at: u64 }\n", Language::Rust).is_empty());
    }

    #[test]
    fn the_list_itself_can_be_read() {
        let list = fs::read_to_string(root().join("xtask/words.toml")).unwrap();
        let list: List = toml::from_str(&list).unwrap();
        assert!(list.words.iter().all(|word| !word.say.is_empty() && !word.kinds.is_empty()));
    }
}
