//! Keys of the file, flags, verbs and methods are the documented ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use testkit::engine;

use crate::{part, quoted, read, rows};

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
fn the_files_keys_are_the_documented_ones() {
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
            assert!(known.remove("intercept"), "its own table");
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
            let documented = quoted(&row[2]);
            let first = default.split(' ').next().unwrap();
            assert_eq!(documented.first().copied(), Some(first), "{flag}: {default}");
        }
    }
    assert!(flags.is_empty(), "the README does not mention {flags:?}");
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

/// An entity's fields without those that all have.
fn fields(schema: &Value) -> BTreeSet<&str> {
    let common = ["id", "created_at", "updated_at"];
    let fields = schema["properties"].as_object().unwrap().keys().map(String::as_str);
    fields.filter(|field| !common.contains(field)).collect()
}
