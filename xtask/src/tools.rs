//! Checks the programs that the tests need on this machine, and says how to install missing ones.

use std::process::{Command, Stdio};

use anyhow::bail;

/// A program that the tests need.
struct Tool {
    /// A command that succeeds if the program is installed and complete.
    probe: &'static [&'static str],
    why: &'static str,
    how: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        probe: &["cc", "--version"],
        why: "SQLite is compiled from its source, and so is the shim that counts fsyncs",
        how: "apt-get install gcc libc6-dev",
    },
    Tool {
        probe: &["python3", "-c", "import ensurepip, sqlite3, venv"],
        why: "requests, httpx and httpbin run in a virtual environment under target/, and tests look into databases",
        how: "apt-get install python3-venv",
    },
    Tool {
        probe: &["npm", "--version"],
        why: "it installs the clients of docs/CLIENTS.md, and tests the npm packages",
        how: "apt-get install npm",
    },
    Tool {
        probe: &["node", "-e", "process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)"],
        why: "the npm packages are for Node 20 or later, and tested in it",
        how: "npm install --global node@24 (Debian 12 has 18: apt-get install npm comes first)",
    },
    Tool {
        probe: &["chromium", "--version"],
        why: "the dashboard is tested in it",
        how: "apt-get install chromium",
    },
    Tool {
        probe: &["curl", "--version"],
        why: "it is one of the real clients",
        how: "apt-get install curl",
    },
    Tool {
        probe: &["wget", "--version"],
        why: "it is one of the clients that `doctor` tries",
        how: "apt-get install wget",
    },
    Tool {
        probe: &["git", "--version"],
        why: "it is one of the clients that `doctor` tries",
        how: "apt-get install git",
    },
    Tool {
        probe: &["openssl", "version"],
        why: "tests check the engine's certificates with it",
        how: "apt-get install openssl",
    },
];

/// Fails if a tool is missing, and names each with its remedy.
pub(crate) fn require() -> anyhow::Result<()> {
    let missing: Vec<_> = TOOLS
        .iter()
        .filter(|tool| !succeeds(tool.probe))
        .map(|tool| format!("  {}: {}\n    {}", tool.probe[0], tool.why, tool.how))
        .collect();
    if !missing.is_empty() {
        bail!("the tests need programs that are missing:\n{}", missing.join("\n"));
    }
    Ok(())
}

/// Whether the command can be started and exits with 0.
pub(crate) fn succeeds(call: &[&str]) -> bool {
    Command::new(call[0])
        .args(&call[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
