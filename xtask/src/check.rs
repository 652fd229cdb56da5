//! `cargo xtask check`: everything that must hold before a change is submitted.

use crate::command::{cargo, run};
use crate::{test, tools};

/// Format, lints, dependencies, documentation, then all tests
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn check(_: &Args) -> anyhow::Result<()> {
    run("format", cargo().args(["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets"];
    run("lints", cargo().args(clippy).args(["--", "-D", "warnings"]))?;
    let with_failpoints = ["clippy", "--all-targets", "--features", "failpoints"];
    run("lints, failpoints", cargo().args(with_failpoints).args(["--", "-D", "warnings"]))?;
    if tools::succeeds(&["cargo-deny", "--version"]) {
        run("dependencies", cargo().args(["deny", "check", "bans", "licenses", "sources"]))?;
    } else {
        eprintln!("cargo-deny is not here, deny.toml is not checked: cargo install cargo-deny");
    }
    let mut doc = cargo();
    doc.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]);
    run("documentation", doc.arg("--document-private-items"))?;
    test::test(&test::Args::default())
}
