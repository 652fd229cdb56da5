//! Runs programs where the tree is, and stops at the first that fails.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask is a folder of the workspace").to_owned()
}

/// The folder for what is built or installed; `.gitignore` names it.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// Cargo, as this process was started by.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// A program that is run in `folder`.
pub(crate) fn program(name: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut program = Command::new(name);
    program.current_dir(folder);
    program
}

/// Runs `command` to its end under the heading `title`.
pub(crate) fn run(title: &str, command: &mut Command) -> anyhow::Result<()> {
    eprintln!("==> {title}");
    let status = command.status().with_context(|| format!("{title}: cannot be started"))?;
    if !status.success() {
        bail!("{title}: {status}");
    }
    Ok(())
}
