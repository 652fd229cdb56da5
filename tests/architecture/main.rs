//! The invariants of ARCHITECTURE.md: who may know whom, where SQL stands, how far a file reaches and how
//! long it is.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod circles;
mod names;
mod paths;
mod sizes;
mod walk;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::root;

/// The packages of the workspace, as cargo knows them.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    serde_json::from_value(metadata["packages"].take()).unwrap()
}

/// The root files of all libraries and programs, from the root of the tree.
fn crate_roots() -> Vec<PathBuf> {
    let targets = packages().into_iter().flat_map(|mut package| {
        serde_json::from_value::<Vec<Value>>(package["targets"].take()).unwrap()
    });
    let built = |target: &Value| target["kind"][0] == "lib" || target["kind"][0] == "bin";
    let file = |target: Value| Path::new(target["src_path"].as_str().unwrap()).to_owned();
    let roots = targets.filter(built).map(file);
    roots.map(|file| file.strip_prefix(root()).unwrap().to_owned()).collect()
}

/// The dependencies of a package of the workspace; without those of tests where `built` is set.
fn dependencies(package: &str, built: bool) -> Vec<String> {
    let packages = packages();
    let package = packages.iter().find(|found| found["name"] == package).unwrap();
    let dependencies = package["dependencies"].as_array().unwrap();
    let names: Vec<_> = dependencies
        .iter()
        .filter(|dependency| !built || dependency["kind"] != "dev")
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(!names.is_empty());
    names
}

fn assert_none(package: &str, built: bool, forbidden: &[&str]) {
    for name in dependencies(package, built) {
        let bad = forbidden.iter().any(|start| name.starts_with(start));
        assert!(!bad, "{package} must not depend on {name}");
    }
}

#[test]
fn the_store_knows_no_http() {
    let http = ["hyper", "http", "tower", "jsonrpsee", "reqwest", "axum", "h2", "tokio-rustls"];
    assert_none("store", false, &http);
}

/// Whatever is decided there can be decided without a database, a thread or a clock.
#[test]
fn the_cores_do_no_io() {
    let io = ["hyper", "tokio", "rusqlite", "rustix", "rustls"];
    for core in ["store-core", "proxy-core"] {
        assert_none(core, false, &io);
    }
    assert!(!dependencies("proxy-core", false).contains(&"store".to_owned()));
}

#[test]
fn the_proxy_knows_no_database_and_no_json_rpc() {
    let database = ["rusqlite", "libsqlite3", "sqlx", "diesel", "tokio-rusqlite"];
    assert_none("proxy", true, &database);
    assert_none("proxy", true, &["jsonrpsee"]);
}

#[test]
fn arrows_run_from_the_binary_to_the_proxy_to_the_store() {
    let binary = "openclaw-state-engine";
    assert_none("store", false, &["proxy", binary]);
    assert_none("proxy", false, &[binary]);
    assert!(dependencies("proxy", true).contains(&"store".to_owned()));
    let of_binary = dependencies(binary, true);
    assert!(of_binary.contains(&"proxy".to_owned()) && of_binary.contains(&"store".to_owned()));
}

#[test]
fn no_second_crypto_provider_and_no_tls_in_the_store() {
    for package in ["openclaw-state-engine", "proxy", "store"] {
        assert_none(package, true, &["native-tls", "openssl", "aws-lc"]);
    }
    assert_none("store", true, &["rustls", "ring"]);
}

/// The sources below a folder, with their paths from the root.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("node_modules") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// How statements begin, in upper case as they are written here.
const STATEMENTS: &[&str] = &[
    "SELECT ",
    "INSERT INTO",
    "INSERT OR",
    "REPLACE INTO",
    "DELETE FROM",
    "CREATE TABLE",
    "CREATE INDEX",
    "ALTER TABLE",
    "DROP TABLE",
    "PRAGMA ",
    "BEGIN IMMEDIATE",
    "SAVEPOINT ",
];

fn has_sql(text: &str) -> Option<&'static str> {
    let update = text.contains("UPDATE ") && text.contains(" SET ");
    let statement = STATEMENTS.iter().find(|statement| text.contains(**statement));
    statement.copied().or(update.then_some("UPDATE … SET"))
}

#[test]
fn sql_is_in_one_folder() {
    let sql_folder = Path::new("store/src/sqlite");
    for folder in ["src", "proxy/src", "proxy/core/src", "store/src", "store/core/src"] {
        for (path, text) in sources(folder) {
            if !path.starts_with(sql_folder) {
                assert_eq!(has_sql(&text), None, "{}", path.display());
            }
        }
    }
    let queries = fs::read_to_string(root().join(sql_folder).join("queries.rs")).unwrap();
    assert!(has_sql(&queries).is_some(), "the folder has moved");
}

#[test]
fn the_proxy_and_the_binary_never_name_sqlite() {
    for folder in ["src", "proxy/src", "proxy/core/src"] {
        for (path, text) in sources(folder) {
            assert!(!text.contains("rusqlite"), "{}", path.display());
        }
    }
}

/// Another backend must fit behind the same signatures.
#[test]
fn no_public_signature_of_the_store_names_rusqlite() {
    for (path, text) in sources("store/src") {
        let mut rest = text.as_str();
        while let Some(start) = rest.find("pub ") {
            let item = &rest[start..];
            let end = item.find(['{', ';']).unwrap_or(item.len());
            let (item, after) = item.split_at(end);
            assert!(!item.contains("rusqlite"), "{}: {item}", path.display());
            rest = after;
        }
    }
}

/// A second backend is a second folder beside `sqlite`: it reads what the decisions ask for, and writes what
/// they say.
#[test]
fn the_decisions_of_the_store_name_no_backend() {
    for (path, text) in sources("store/src/decide") {
        for word in ["rusqlite", "sqlite::", "queries", "engine::"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
    for file in ["store/src/call.rs", "store/src/lease.rs"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        assert!(!text.to_lowercase().contains("sqlite"), "{file}");
    }
}
