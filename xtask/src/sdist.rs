//! Downloads sources of Python packages, for tests that are not in their wheels.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::command::{program, quiet, root, target};

/// Unpacks the source of the package in `requirements`, which has its hash, into `target/NAME`. Does it
/// again only if that file has changed. Uses the interpreter `python`.
pub(crate) fn unpacked(name: &str, requirements: &str, python: &Path) -> anyhow::Result<()> {
    let list = root().join(requirements);
    let wanted = fs::read(&list).with_context(|| requirements.to_owned())?;
    let folder = target().join(name);
    let installed = folder.join("installed.txt");
    if fs::read(&installed).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    let packed = target().join(format!("{name}-packed"));
    for old in [&folder, &packed] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| old.display().to_string())?;
        }
    }
    let mut pip = program(python, &root());
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.args(["--no-binary", ":all:", "--require-hashes", "--dest"]).arg(&packed);
    quiet(&format!("pip download -r {requirements}"), pip.arg("-r").arg(&list))?;
    for file in fs::read_dir(&packed)? {
        let mut unpack = program(python, &root());
        unpack.args(["-m", "tarfile", "-e"]).arg(file?.path()).arg(&folder);
        quiet(&format!("unpack the source of {requirements}"), &mut unpack)?;
    }
    fs::write(&installed, wanted).with_context(|| installed.display().to_string())
}
