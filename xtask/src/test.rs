//! `cargo xtask test`: installs what the tests need and runs all of them.

use std::fs;

use anyhow::Context as _;

use crate::command::{cargo, program, root, run, target};
use crate::{sdist, tools, venv};

/// npm packages with tests of their own, as they come into the tree.
const NPM_PACKAGES: &[&str] = &[
    "ts-client",
    "tests/idempotency-stress",
    "examples/failure-demo",
    "examples/email-agent",
    "integrations/openclaw",
    "dashboard",
];

/// Run all tests of the tree: Rust, doctests, real clients, npm packages
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// For the Rust test runner (cargo nextest, else cargo test), after `--`
    #[arg(last = true)]
    runner: Vec<String>,
}

pub(crate) fn test(args: &Args) -> anyhow::Result<()> {
    tools::require()?;
    // Its bin/python runs requests, httpx and httpbin.
    venv::with("venv", "tests/clients/requirements.txt")?;
    // Its bin/python is a client and a server of MCP.
    venv::with("venv-mcp", "tests/mcp/peers/requirements.txt")?;
    // The tests of requests, which are a suite of HTTP, and what they need.
    let suite = venv::with("venv-http-suite", "tests/clients/http_suite/requirements.txt")?;
    sdist::unpacked("http-suite", "tests/clients/http_suite/sdist.txt", &suite.join("bin/python"))?;
    install_node()?;
    build_with_failpoints()?;
    test_rust(&args.runner)?;
    run("doctests", cargo().args(["test", "--workspace", "--doc", "--quiet"]))?;
    test_npm()
}

/// Node 20, 24 and 26, Deno and Bun, in `tests/clients/node_modules`; MCP's packages run in Node 24.
fn install_node() -> anyhow::Result<()> {
    npm_ci("tests/clients")?;
    npm_ci("tests/mcp/peers")
}

/// `target/failpoints/openclaw-state-engine` can be paused and killed at named points. It shares all
/// libraries with the plain build, which the tests build again over it.
fn build_with_failpoints() -> anyhow::Result<()> {
    let mut build = cargo();
    build.args(["build", "--features", "failpoints", "--target-dir"]).arg(target());
    run("build with failpoints", &mut build)?;
    let name = "openclaw-state-engine";
    let folder = target().join("failpoints");
    fs::create_dir_all(&folder)?;
    // Never in place: a test of another run may be executing the old one.
    let fresh = folder.join("fresh");
    fs::copy(target().join("debug").join(name), &fresh)?;
    fs::rename(fresh, folder.join(name)).context("target/failpoints")
}

fn test_rust(runner: &[String]) -> anyhow::Result<()> {
    let mut tests = cargo();
    if tools::succeeds(&["cargo-nextest", "nextest", "--version"]) {
        tests.args(["nextest", "run", "--workspace"]);
    } else {
        eprintln!("cargo-nextest is not here: cargo test is slower (cargo install cargo-nextest)");
        tests.args(["test", "--workspace", "--all-targets", "--no-fail-fast"]);
    }
    tests.arg("--target-dir").arg(target());
    run("Rust tests", tests.args(runner))
}

fn test_npm() -> anyhow::Result<()> {
    for package in NPM_PACKAGES {
        if root().join(package).join("package.json").exists() {
            npm_ci(package)?;
            run(
                &format!("{package}: npm test"),
                program("npm", &root().join(package)).arg("test"),
            )?;
        }
    }
    Ok(())
}

/// `node_modules` of `package` has what its lock file says; made anew when that changes.
pub(crate) fn npm_ci(package: &str) -> anyhow::Result<()> {
    let folder = root().join(package);
    let lock = fs::read(folder.join("package-lock.json")).context("package-lock.json")?;
    let installed = folder.join("node_modules/.installed-lock.json");
    if fs::read(&installed).is_ok_and(|found| found == lock) {
        return Ok(());
    }
    let mut npm = program("npm", &folder);
    run(&format!("{package}: npm ci"), npm.args(["ci", "--no-audit", "--no-fund"]))?;
    fs::write(installed, lock).context("node_modules")
}
