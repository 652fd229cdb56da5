//! `cargo xtask gen`: writes what is generated from the engine's own types.

use crate::command::{cargo, run, target};

/// `ts-client/src/wire.ts`; the test that compares it with the types writes it, when told to.
pub(crate) fn generate() -> anyhow::Result<()> {
    let mut test = cargo();
    test.env("STATE_ENGINE_GENERATE", "1").args(["test", "--quiet", "--bin"]);
    test.args(["openclaw-state-engine", "typescript", "--target-dir"]).arg(target());
    run("ts-client/src/wire.ts", &mut test)
}
