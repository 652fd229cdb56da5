//! The npm packages: installed, and tested.

use std::fs;

use anyhow::{Context as _, ensure};

use crate::command::{beside, captured, program, quiet, root};

/// Its `npm test` builds what the other packages use.
const CLIENT: &str = "ts-client";

/// The other npm packages with tests of their own: each lane goes beside the other.
const LANES: [&[&str]; 2] = [
    &["tests/idempotency-stress", "examples/failure-demo", "examples/email-agent"],
    &["integrations/openclaw", "dashboard"],
];

/// Those with tests of their own.
pub(crate) fn packages() -> impl Iterator<Item = &'static str> {
    [CLIENT].into_iter().chain(LANES.into_iter().flatten().copied())
}

/// `node_modules` of `package` has what its lock file says; installed again when that changes.
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

/// Each is shown when it is over; all of them run, whichever fails.
pub(crate) fn test() -> anyhow::Result<()> {
    let test = |package: &&'static str| {
        let title = format!("{package}: npm test");
        let (passed, output) = captured(&title, program("npm", &root().join(package)).arg("test"))?;
        eprintln!("==> {title}\n{output}");
        Ok((!passed).then_some(*package))
    };
    let lane = |lane: &[&'static str]| lane.iter().map(test).collect::<anyhow::Result<Vec<_>>>();
    let client = lane(&[CLIENT])?;
    let (one, other) = beside(|| lane(LANES[0]), || lane(LANES[1]));
    let failed: Vec<_> = client.into_iter().chain(one?).chain(other?).flatten().collect();
    ensure!(failed.is_empty(), "npm test failed in {}", failed.join(", "));
    Ok(())
}
