//! The tree, and the machine that a test runs on.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// What `cargo xtask test` installs or builds; `path` is from the root of the tree.
#[track_caller]
pub fn here(path: &str) -> PathBuf {
    let path = root().join(path);
    assert!(path.exists(), "{} does not exist: `cargo xtask test` creates it", path.display());
    path
}

/// A program in an environment without proxies, and without settings of the engine.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("STATE_ENGINE_") || text.to_ascii_lowercase().ends_with("_proxy") {
            command.env_remove(&name);
        }
    }
    command
}

/// All files below a folder, with their sizes.
pub fn files(folder: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let size = entry.metadata().map_or(0, |file| file.len());
            found.push((path.display().to_string(), size));
        }
    }
    found
}
