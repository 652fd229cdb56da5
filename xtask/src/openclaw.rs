//! `cargo xtask openclaw`: the plugin and the proxy under the real gateway of OpenClaw.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::command::{cargo, program, root, run, target};
use crate::{npm, tools};

const PLUGIN: &str = "integrations/openclaw";

/// Test the OpenClaw plugin against the real gateway, in a few minutes
///
/// Installs the pinned gateway (650 MB) and Node 24 under target/, starts it on the loopback with a scripted
/// model, and kills it at the critical points. Prints a table, and writes it to
/// integrations/openclaw/STATUS.md if every case passed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only the cases whose names contain this; STATUS.md is not written then
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

pub(crate) fn test(args: &Args) -> anyhow::Result<()> {
    tools::require()?;
    run("build the engine", cargo().args(["build", "--target-dir"]).arg(target()))?;
    npm::ci("tests/clients")?;
    npm::ci(PLUGIN)?;
    let gateway = target().join("openclaw/gateway");
    install(&gateway)?;
    let mut cases = program(node(), &root().join(PLUGIN));
    cases.env("PATH", path_with_node()?);
    cases.arg("e2e/run.ts").arg(gateway.join("node_modules/openclaw"));
    cases.arg(target().join("openclaw/home")).args(args.only.as_deref());
    run("the plugin under the real gateway", &mut cases)
}

/// The Node 24 of the tests with real clients. The gateway refuses older versions.
fn node() -> std::path::PathBuf {
    root().join("tests/clients/node_modules/node/bin/node")
}

/// A PATH with its folder first, so that scripts of packages use it too.
fn path_with_node() -> anyhow::Result<OsString> {
    let node = node();
    let folder = node.parent().expect("it is in a folder").to_owned();
    let rest = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths([folder].into_iter().chain(env::split_paths(&rest)))?)
}

/// Installs what `e2e/gateway/package-lock.json` pins into `folder`, unless it is installed already.
fn install(folder: &Path) -> anyhow::Result<()> {
    let pinned = root().join(PLUGIN).join("e2e/gateway");
    let lock =
        fs::read(pinned.join("package-lock.json")).context("e2e/gateway/package-lock.json")?;
    let installed = folder.join("node_modules/.installed-lock.json");
    if fs::read(&installed).is_ok_and(|found| found == lock) {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(pinned.join(name), folder.join(name)).context(name)?;
    }
    let mut npm = program("npm", folder);
    npm.env("PATH", path_with_node()?).args(["ci", "--no-audit", "--no-fund"]);
    run("npm ci: the gateway", &mut npm)?;
    fs::write(installed, lock).context("target/openclaw/gateway")
}
