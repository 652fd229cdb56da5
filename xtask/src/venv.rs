//! Python's virtual environments under `target/`.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::command::{program, quiet, root, target};

/// Installs what the file `requirements` lists into `target/NAME`, unless it is installed already.
pub(crate) fn with(name: &str, requirements: &str) -> anyhow::Result<PathBuf> {
    let list = root().join(requirements);
    let wanted = fs::read(&list).with_context(|| requirements.to_owned())?;
    let venv = target().join(name);
    let installed = venv.join("installed.txt");
    if fs::read(&installed).is_ok_and(|found| found == wanted) {
        return Ok(venv);
    }
    let mut make = program("python3", &root());
    quiet(
        &format!("python3 -m venv target/{name}"),
        make.args(["-m", "venv", "--clear"]).arg(&venv),
    )?;
    let mut pip = program(venv.join("bin/python"), &root());
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    quiet(&format!("pip install -r {requirements}"), pip.arg(&list))?;
    fs::write(&installed, wanted).with_context(|| installed.display().to_string())?;
    Ok(venv)
}
