//! `cargo xtask gen`: writes what is generated from the engine's own types.

use crate::command::{cargo, run, target};

/// Writes `ts-client/src/wire.ts`, with the test that otherwise compares it with the types.
pub(crate) fn generate() -> anyhow::Result<()> {
    let mut test = cargo();
    test.env("STATE_ENGINE_GENERATE", "1").args(["test", "--quiet", "--bin"]);
    test.args(["openclaw-state-engine", "typescript", "--target-dir"]).arg(target());
    run("ts-client/src/wire.ts", &mut test)
}
