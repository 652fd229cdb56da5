//! Runs programs in the tree.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, bail};

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask is a folder of the workspace").to_owned()
}

/// The folder for everything that is built or installed. `.gitignore` names it.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// The cargo that started this process.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    // `cargo xtask` sets these to this package's values. ring's build script reads them: everything that
    // depends on ring would be compiled again after each cargo with another parent.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// A command that runs a program in `folder`.
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

/// Like [`run`], for parallel work: the output is only shown as a part of the error.
pub(crate) fn quiet(title: &str, command: &mut Command) -> anyhow::Result<()> {
    eprintln!("==> {title}");
    let (succeeded, output) = captured(title, command)?;
    if !succeeded {
        bail!("{title} failed:\n{output}");
    }
    Ok(())
}

/// Runs `command` to its end. Returns whether it succeeded, and its stdout followed by its stderr.
pub(crate) fn captured(title: &str, command: &mut Command) -> anyhow::Result<(bool, String)> {
    let command = command.stdin(Stdio::null());
    let output = command.output().with_context(|| format!("{title}: cannot be started"))?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// Runs both at once, and returns when both have ended.
pub(crate) fn in_parallel<A: Send, B>(
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B,
) -> (A, B) {
    thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        (one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), other)
    })
}
