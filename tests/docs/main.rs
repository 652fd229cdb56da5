//! What the documents say, compared with the code and the binary.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hyper::StatusCode;
use serde_json::{Value, json};
use testkit::engine;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

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

fn documents() -> Vec<PathBuf> {
    let own =
        ["README", "AGENTS", "ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "SECURITY", "STYLE"];
    let own = own.iter().map(|name| root().join(format!("{name}.md")));
    own.chain(files("docs", "md")).collect()
}

/// The text from the heading `## title` to the next heading of that level.
fn part<'a>(document: &'a str, title: &str) -> &'a str {
    let heading = format!("\n## {title}\n");
    let (_, rest) = document.split_once(&heading).unwrap_or_else(|| panic!("no part {title:?}"));
    rest.split("\n## ").next().unwrap()
}

/// The sections of a part whose headings are codes, by code.
fn sections(part: &str) -> BTreeMap<String, &str> {
    let sections = part.split("\n### `").skip(1);
    sections
        .map(|section| {
            let (code, text) = section.split_once("`\n").unwrap();
            (code.to_owned(), text)
        })
        .collect()
}

/// The texts in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The rows of a text's tables, as cells, without the heads.
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

/// Statuses and codes of the proxy's problems, from its table.
fn proxy_codes() -> BTreeMap<String, BTreeSet<u16>> {
    let number = |name: &str| {
        let named = |status: &StatusCode| {
            let reason = status.canonical_reason().unwrap_or_default();
            reason.to_ascii_uppercase().replace([' ', '-'], "_") == name
        };
        (400..600).filter_map(|n| StatusCode::from_u16(n).ok()).find(named).unwrap().as_u16()
    };
    let mut codes: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for path in files("proxy/src", "rs") {
        for entry in read(path).split("(S::").skip(1) {
            let name = entry.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap();
            let code = entry.split('"').nth(1).unwrap();
            codes.entry(code.to_owned()).or_default().insert(number(name));
        }
    }
    assert!(codes.len() > 15, "the table of proxy/src/respond is not where it was: {codes:?}");
    codes
}

/// The codes of the state API, from its table.
fn api_codes() -> BTreeSet<String> {
    let source = read("src/api/error.rs");
    let table = source.split_once("fn as_str").unwrap().1.split_once("\n    }\n").unwrap().0;
    let codes: BTreeSet<_> =
        table.split("=> \"").skip(1).map(|arm| arm.split('"').next().unwrap().to_owned()).collect();
    assert!(codes.len() > 10, "the table of src/api/error.rs is not where it was: {codes:?}");
    codes
}

#[test]
fn each_code_of_the_proxy_has_its_section_and_each_section_its_code() {
    let document = read("docs/FAILURE_CONTRACT.md");
    let sections = sections(part(&document, "The proxy"));
    let codes = proxy_codes();
    assert_eq!(sections.keys().collect::<Vec<_>>(), codes.keys().collect::<Vec<_>>());
    for (code, statuses) in codes {
        let text = sections[&code].split("\n- ").next().unwrap();
        for status in statuses {
            assert!(text.contains(&status.to_string()), "{code} is answered with {status}: {text}");
        }
    }
}

#[test]
fn each_code_of_the_api_has_its_section_and_each_section_its_code() {
    let document = read("docs/FAILURE_CONTRACT.md");
    let sections: BTreeSet<_> = sections(part(&document, "The state API")).into_keys().collect();
    assert_eq!(sections, api_codes());
}

#[test]
fn each_section_answers_the_four_questions() {
    let document = read("docs/FAILURE_CONTRACT.md");
    for title in ["The proxy", "The state API"] {
        for (code, text) in sections(part(&document, title)) {
            for question in ["What happened", "Was the tool run", "May I retry", "What to do"] {
                assert!(text.contains(&format!("\n- {question}: ")), "{code}: {question}?");
            }
        }
    }
}

/// Runs `config check` on a file of this text.
fn checked(text: &str) -> (bool, String) {
    let builder = engine!();
    let file = builder.home().join("engine.toml");
    fs::write(&file, text).unwrap();
    let output =
        builder.cli(["config".as_ref(), "check".as_ref(), "--config".as_ref(), file.as_os_str()]);
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// The blocks of a document that are marked as TOML.
fn toml_blocks(document: &str) -> Vec<&str> {
    let blocks = document.split("\n```toml\n").skip(1);
    blocks.map(|rest| rest.split("\n```").next().unwrap()).collect()
}

#[test]
fn the_keys_of_the_configuration_are_the_documented_ones() {
    let document = read("docs/RULES.md");
    let mut documented: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for block in toml_blocks(&document) {
        let mut table = "";
        for line in block.lines() {
            if line.starts_with('[') {
                table = line;
                documented.entry(table).or_default();
            } else if let Some((key, _)) = line.split_once(" = ") {
                documented.get_mut(table).unwrap().insert(key);
            }
        }
    }
    assert_eq!(documented.len(), 6, "{documented:?}");
    for (table, keys) in documented {
        let (fine, error) = checked(&format!("{table}\nno_such_key = 1\n"));
        assert!(!fine && error.contains("unknown field `no_such_key`"), "{table}: {error}");
        let known = error.split_once("expected ").unwrap().1.split(';').next().unwrap();
        let mut known: BTreeSet<_> = quoted(known).into_iter().collect();
        if table == "[proxy]" {
            assert!(known.remove("intercept"), "it is a separate table");
        }
        assert_eq!(keys, known, "{table}");
    }
}

/// Each flag of `serve`, with its name in the environment and its default, as `--help` shows them.
fn flags_of_help() -> BTreeMap<String, (Option<String>, Option<String>)> {
    let help = help(&["serve"]);
    let options = help.split_once("\nOptions:").unwrap().1;
    let mut flags = BTreeMap::new();
    for option in options.split("\n      --").skip(1) {
        let flag = option.split([' ', '\n']).next().unwrap();
        let words = option.split_whitespace().collect::<Vec<_>>().join(" ");
        let note = |name: &str| {
            let (_, rest) = words.split_once(&format!("[{name}: "))?;
            rest.split(['=', ']']).next().map(str::to_owned)
        };
        flags.insert(format!("--{flag}"), (note("env"), note("default")));
    }
    flags.remove("--json").expect("a global flag");
    flags
}

fn help(verb: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_openclaw-state-engine"))
        .args(verb)
        .arg("--help")
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    format!("\n{}", String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_readmes_flags_are_those_of_help() {
    let readme = read("README.md");
    let mut flags = flags_of_help();
    for row in rows(part(&readme, "Configuration")) {
        let flag = quoted(&row[0])[0].split(' ').next().unwrap();
        let (env, default) = flags.remove(flag).unwrap_or_else(|| panic!("no flag {flag}"));
        assert_eq!(quoted(&row[1]).first().copied(), env.as_deref(), "{flag}");
        if let Some(default) = default {
            let default_cell = quoted(&row[2]);
            let first = default.split(' ').next().unwrap();
            assert_eq!(default_cell.first().copied(), Some(first), "{flag}: {default}");
        }
    }
    assert!(flags.is_empty(), "the README does not list {flags:?}");
}

#[test]
fn the_readmes_verbs_are_those_of_help() {
    let help = help(&[]);
    let verbs = help.split_once("\nCommands:\n").unwrap().1.split("\n\n").next().unwrap();
    let verbs: BTreeSet<_> =
        verbs.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let readme = read("README.md");
    let rows = rows(part(&readme, "Command line"));
    let documented: BTreeSet<_> = rows.iter().map(|row| quoted(&row[0])[0]).collect();
    let documented: BTreeSet<_> =
        documented.iter().map(|verb| verb.split(' ').next().unwrap()).collect();
    assert_eq!(documented, verbs.into_iter().filter(|verb| *verb != "help").collect());
}

#[test]
fn the_api_is_the_documented_one() {
    let engine = engine!().start();
    let discovered = engine.rpc("rpc.discover", &json!({}));
    let document = read("docs/API_VERSION.md");

    let mut documented: BTreeMap<String, String> = BTreeMap::new();
    for title in ["Methods of v0.1", "Added since"] {
        for row in rows(part(&document, title)) {
            documented.insert(quoted(&row[0])[0].to_owned(), row[1].clone());
        }
    }
    let methods: BTreeMap<_, _> = discovered["methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|method| (method["name"].as_str().unwrap().to_owned(), &method["params"]))
        .collect();
    let names = |methods: Vec<&String>| methods.into_iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(documented.keys().collect()), names(methods.keys().collect()));
    for (name, params) in methods {
        let known: BTreeSet<_> =
            params.as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        for param in quoted(&documented[&name]) {
            let param = param.trim_end_matches('?');
            assert!(known.contains(param), "{name} has no param {param}: {known:?}");
        }
    }

    for row in rows(part(&document, "Entities")) {
        let Some(schema) = discovered["components"]["schemas"].get(&row[0]) else { continue };
        let documented: BTreeSet<_> =
            quoted(&row[1]).into_iter().map(|field| field.trim_end_matches('?')).collect();
        assert_eq!(documented, fields(schema), "{}", row[0]);
    }
}

/// An entity's fields, without those that every entity has.
fn fields(schema: &Value) -> BTreeSet<&str> {
    let common = ["id", "created_at", "updated_at"];
    let fields = schema["properties"].as_object().unwrap().keys().map(String::as_str);
    fields.filter(|field| !common.contains(field)).collect()
}

#[test]
fn links_lead_somewhere() {
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
            assert!(target.exists(), "{}: {link}", path.display());
            if !anchor.is_empty() {
                let headings = headings(&fs::read_to_string(&target).unwrap());
                let slugs: Vec<_> = headings.iter().map(|heading| slug(heading)).collect();
                assert!(slugs.iter().any(|slug| slug == anchor), "{}: {link}", path.display());
            }
        }
    }
}

fn headings(document: &str) -> Vec<String> {
    document
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_owned())
        .collect()
}

/// The anchor that the forge gives a heading.
fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().replace(' ', "-")
}

/// Comments refer to a section as `docs/SEMANTICS.md, "States"`.
#[test]
fn sections_that_the_code_refers_to_exist() {
    let mut seen = 0;
    for folder in ["src", "proxy/src", "proxy/core/src", "store/src", "store/core/src"] {
        for path in files(folder, "rs") {
            let source = fs::read_to_string(&path).unwrap();
            let comments: String = source
                .lines()
                .map(|line| line.trim_start().trim_start_matches(['/', '!']).trim())
                .collect::<Vec<_>>()
                .join(" ");
            for reference in comments.split("docs/").skip(1) {
                let Some((file, rest)) = reference.split_once(".md") else { continue };
                let document = root().join("docs").join(format!("{file}.md"));
                assert!(document.exists(), "{}: docs/{file}.md", path.display());
                let Some(title) = rest.strip_prefix(", \"") else { continue };
                let title = title.split('"').next().unwrap();
                let headings = headings(&fs::read_to_string(&document).unwrap());
                let there = headings.iter().any(|heading| {
                    heading.trim_start_matches(|c: char| c.is_ascii_digit() || ". ".contains(c))
                        == title
                });
                assert!(there, "{}: no section {title:?} in {file}.md", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 3, "only {seen} references were found");
}

#[test]
fn the_architecture_is_short() {
    assert!(read("ARCHITECTURE.md").lines().count() <= 150);
}
