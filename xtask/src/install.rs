//! Installs what the tests need besides Rust, as the tree's lock files pin it, under `target/` and in the
//! packages' own folders. What is installed already takes no time.

use std::fs;

use anyhow::Context as _;

use crate::command::{program, quiet, root, target};
use crate::{npm, sdist, tools, venv};

/// Node 20, 24 and 26, Deno and Bun. MCP's packages run in Node 24.
const NPM_CLIENTS: [&str; 2] = ["tests/clients", "tests/mcp/peers"];

pub(crate) fn everything() -> anyhow::Result<()> {
    // Its bin/python runs requests, httpx and httpbin.
    venv::with("venv", "tests/clients/requirements.txt")?;
    // Its bin/python is a client and a server of MCP.
    venv::with("venv-mcp", "tests/mcp/peers/requirements.txt")?;
    // The tests of Python's requests, a suite of HTTP tests, and their dependencies.
    let suite = venv::with("venv-http-suite", "tests/clients/http_suite/requirements.txt")?;
    let sources = "tests/clients/http_suite/sdist.txt";
    sdist::unpacked("http-suite", sources, &suite.join("bin/python"))?;
    java_client()?;
    NPM_CLIENTS.into_iter().chain(npm::packages()).try_for_each(npm::ci)
}

/// Compiles the Java client into `target/java`, if there is a compiler. Run from its source, it would be
/// compiled at each call.
fn java_client() -> anyhow::Result<()> {
    let source = fs::read(root().join("tests/clients/Send.java")).context("Send.java")?;
    let folder = target().join("java");
    let installed = folder.join("installed.java");
    if fs::read(&installed).is_ok_and(|found| found == source)
        || !tools::succeeds(&["javac", "-version"])
    {
        return Ok(());
    }
    let mut javac = program("javac", &root());
    quiet("javac", javac.arg("-d").arg(&folder).arg("tests/clients/Send.java"))?;
    fs::write(installed, source).context("target/java")
}
