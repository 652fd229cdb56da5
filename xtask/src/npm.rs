//! Installs and tests the npm packages.

use std::fs;

use anyhow::{Context as _, ensure};

use crate::command::{captured, in_parallel, program, quiet, root};

/// The package whose `npm test` builds what the other packages use.
const CLIENT: &str = "ts-client";

/// The other npm packages with their own tests. The lanes run in parallel.
const LANES: [&[&str]; 2] = [
    &["tests/idempotency-stress", "examples/failure-demo", "examples/email-agent"],
    &["integrations/openclaw", "dashboard"],
];

/// The packages with their own tests.
pub(crate) fn packages() -> impl Iterator<Item = &'static str> {
    [CLIENT].into_iter().chain(LANES.into_iter().flatten().copied())
}

/// Installs what the lock file of `package` pins into its `node_modules`, unless it is installed already.
pub(crate) fn ci(package: &str) -> anyhow::Result<()> {
    let folder = root().join(package);
    let lock = fs::read(folder.join("package-lock.json")).context("package-lock.json")?;
    let installed = folder.join("node_modules/.installed-lock.json");
    if fs::read(&installed).is_ok_and(|found| found == lock) {
        return Ok(());
    }
    let mut npm = program("npm", &folder);
    quiet(&format!("{package}: npm ci"), npm.args(["ci", "--no-audit", "--no-fund"]))?;
    fs::write(installed, lock).context("node_modules")
}

/// Shows each package when it has ended. All of them run, even if one fails.
pub(crate) fn test() -> anyhow::Result<()> {
    let test = |package: &&'static str| {
        let title = format!("{package}: npm test");
        let (passed, output) = captured(&title, program("npm", &root().join(package)).arg("test"))?;
        eprintln!("==> {title}\n{output}");
        Ok((!passed).then_some(*package))
    };
    let lane = |lane: &[&'static str]| lane.iter().map(test).collect::<anyhow::Result<Vec<_>>>();
    let client = lane(&[CLIENT])?;
    let (one, other) = in_parallel(|| lane(LANES[0]), || lane(LANES[1]));
    let failed: Vec<_> = client.into_iter().chain(one?).chain(other?).flatten().collect();
    ensure!(failed.is_empty(), "npm test failed in {}", failed.join(", "));
    Ok(())
}
