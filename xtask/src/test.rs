//! `cargo xtask test`: installs what the tests need and runs all of them.

use std::fs;
use std::thread;

use anyhow::{Context as _, ensure};

use crate::check::AS_FOR_TESTS;
use crate::command::{cargo, in_parallel, run, target};
use crate::{install, npm, tools};

/// Run all tests of the tree: Rust, doctests, real clients, npm packages
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// For the Rust test runner (cargo nextest, else cargo test), after `--`
    #[arg(last = true)]
    runner: Vec<String>,
}

pub(crate) fn test(args: &Args) -> anyhow::Result<()> {
    tools::require()?;
    let (installed, built) = in_parallel(install::everything, build);
    built?;
    installed?;
    let rust = test_rust(&args.runner);
    let mut doctests = cargo();
    doctests.args(["test", "--workspace", "--doc", "--target-dir"]).arg(target());
    let results = [rust, run("doctests", &mut doctests), npm::test()];
    let failed: Vec<_> =
        results.into_iter().filter_map(Result::err).map(|e| e.to_string()).collect();
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(())
}

/// Builds the engine with failpoints, at which tests kill it, and all tests with the plain engine.
fn build() -> anyhow::Result<()> {
    let name = "openclaw-state-engine";
    let mut build = cargo();
    build.args(["build", "--workspace", "--bin", name, AS_FOR_TESTS, "--features", "failpoints"]);
    run("build with failpoints", build.arg("--target-dir").arg(target()))?;
    let folder = target().join("failpoints");
    fs::create_dir_all(&folder)?;
    // Not in place: a test of another run may be executing the old one.
    let fresh = folder.join("fresh");
    fs::copy(target().join("debug").join(name), &fresh)?;
    fs::rename(fresh, folder.join(name)).context("target/failpoints")?;
    let mut build = cargo();
    build.args(["test", "--workspace", "--no-run", "--quiet", "--target-dir"]).arg(target());
    run("build the tests", &mut build)
}

fn test_rust(runner: &[String]) -> anyhow::Result<()> {
    let mut tests = cargo();
    if tools::succeeds(&["cargo-nextest", "nextest", "--version"]) {
        tests.args(["nextest", "run", "--workspace"]);
        // Tests wait for processes and deadlines about half of the time.
        let cores = thread::available_parallelism().map_or(1, usize::from);
        tests.env("NEXTEST_TEST_THREADS", (2 * cores).to_string());
    } else {
        eprintln!("cargo-nextest is missing: cargo test is slower (cargo install cargo-nextest)");
        tests.args(["test", "--workspace", "--all-targets", "--no-fail-fast"]);
    }
    tests.arg("--target-dir").arg(target());
    run("Rust tests", tests.args(runner))
}
