//! The wire in TypeScript: `ts-client/src/wire.ts` is generated from these types, and the test
//! below fails if it differs. `cargo xtask gen` writes it again.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use store::model as m;
use store::state::Knowledge;
use ts_rs::{Config, TS};

use super::activity::{LastHour, MinuteCounts, Overhead};
use super::methods::{ComparedExecution, ComparedPart, ExecutedAnswer};
use super::openrpc;

const HEAD: &str = "\
// Generated from the engine's own types by `cargo xtask gen`: do not edit.

/** A JSON object. */
export type JsonObject = { [key in string]: unknown };

/** Any JSON. The engine keeps its text; JavaScript rounds numbers of more than 15 digits. */
export type Json = unknown;

/** A point in time: RFC 3339, UTC, with microseconds. */
export type Timestamp = string;
";

/// Words that only params and added fields use; `schemas.json` has them.
const WORDS: &[&str] = &["Claim", "BusyReason", "Verdict", "OnMismatch"];

/// The types of pages, and of their items.
const PAGES: &[(&str, &str)] = &[
    ("ExecutionPage", "ToolExecution"),
    ("SessionSummaryPage", "SessionSummary"),
    ("ExecutionSummaryPage", "ExecutionSummary"),
];

fn generate() -> String {
    let mut text = HEAD.to_owned();
    let document: Value = openrpc::document().decode().unwrap();
    let mut known = Vec::new();
    macro_rules! declare {
        ($($kind:ty),+ $(,)?) => {$( known.push(declare::<$kind>(&mut text)); )+};
    }
    declare! {
        m::SessionStatus, m::GoalStatus, m::Priority, m::ExecutionStatus, m::Origin,
        m::EffectClass, Knowledge, m::MemoryType, m::Importance, m::ChannelType, m::ChannelStatus,
        m::User, m::Session, m::Goal, m::Execution, m::Memory, m::Channel, m::Page<m::Execution>,
        m::Event, m::Stats, ExecutedAnswer, m::SessionSummary, m::ExecutionSummary, m::Excerpt,
        m::RequestDetail, m::AnswerDetail, m::ExecutionDetail, ComparedPart,
        ComparedExecution, MinuteCounts, Overhead, LastHour,
    }
    let schemas = &document["components"]["schemas"];
    for name in WORDS {
        let words = schemas[*name]["enum"].as_array().unwrap();
        let words = words.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
        write!(text, "\nexport type {name} = {words};\n").unwrap();
        known.push((*name).to_owned());
    }
    for (page, item) in PAGES {
        write!(text, "\nexport type {page} = Page<{item}>;\n").unwrap();
        known.push((*page).to_owned());
    }
    methods(&mut text, &document, &known);
    text
}

/// Writes one exported declaration; returns its name.
fn declare<T: TS>(text: &mut String) -> String {
    let config = Config::new().with_large_int("number");
    let docs = T::docs().unwrap_or_default();
    let docs = docs.trim();
    let between = if docs.is_empty() { "" } else { "\n" };
    let declaration = one_a_line(&T::decl(&config));
    write!(text, "\n{docs}{between}export {declaration}\n").unwrap();
    let name = T::ident(&config);
    name.split('<').next().unwrap_or_default().to_owned()
}

/// A declaration with each member on its own line, below its comment.
fn one_a_line(declaration: &str) -> String {
    let mut text = String::new();
    let mut rest = declaration;
    while let Some((before, after)) = rest.split_once("/**") {
        let (comment, after) = after.split_once("*/").unwrap();
        text.push_str(&members(before.trim_end()));
        let comment = comment.trim_end().replace('\n', "\n  ");
        write!(text, "\n  /**{comment}\n   */\n  ").unwrap();
        rest = after.trim_start();
    }
    text.push_str(&members(rest));
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect::<String>().trim().to_owned()
}

fn members(text: &str) -> String {
    text.replace("{ ", "{\n  ").replace(", }", ",\n}").replace(", ", ",\n  ")
}

/// Params and result of each method, from the table that `rpc.discover` answers.
fn methods(text: &mut String, document: &Value, known: &[String]) {
    let schemas = &document["components"]["schemas"];
    text.push_str("\n/** Params and result of each method. */\nexport interface Methods {\n");
    for method in document["methods"].as_array().unwrap() {
        let params: Vec<_> = method["params"]
            .as_array()
            .unwrap()
            .iter()
            .map(|param| {
                let name = param["name"].as_str().unwrap();
                let kind = spelt(&param["schema"], schemas, known);
                let mark = if param["required"] == true { "" } else { "?" };
                format!("{name}{mark}: {kind}")
            })
            .collect();
        let params = if params.is_empty() {
            "Record<string, never>".to_owned()
        } else {
            format!("{{\n      {};\n    }}", params.join(";\n      "))
        };
        let name = &method["name"];
        let summary = method["summary"].as_str().unwrap();
        let result = spelt(&method["result"]["schema"], schemas, known);
        write!(
            text,
            "  /** {summary} */\n  {name}: {{\n    params: {params};\n    result: {result};\n  }};\n"
        )
        .unwrap();
    }
    text.push_str("}\n");
}

/// A schema of the document as a TypeScript type.
fn spelt(schema: &Value, schemas: &Value, known: &[String]) -> String {
    if let Some(either) = schema["anyOf"].as_array() {
        let kinds: Vec<_> = either.iter().map(|one| spelt(one, schemas, known)).collect();
        return kinds.join(" | ");
    }
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap();
        if known.iter().any(|known| known == name) {
            return name.to_owned();
        }
        return spelt(&schemas[name], schemas, known);
    }
    match schema["type"].as_str() {
        Some("string") => "string".to_owned(),
        Some("integer" | "number") => "number".to_owned(),
        Some("boolean") => "boolean".to_owned(),
        Some("null") => "null".to_owned(),
        Some("object") => "JsonObject".to_owned(),
        Some("array") => format!("Array<{}>", spelt(&schema["items"], schemas, known)),
        _ => "unknown".to_owned(),
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ts-client/src/wire.ts")
}

#[test]
fn the_clients_types_are_those_of_the_wire() {
    let generated = generate();
    if std::env::var_os("STATE_ENGINE_GENERATE").is_some() {
        std::fs::write(golden(), &generated).unwrap();
    }
    let stored = std::fs::read_to_string(golden()).unwrap();
    assert!(
        stored == generated,
        "{} differs from the engine's types: run `cargo xtask gen`",
        golden().display()
    );
}
