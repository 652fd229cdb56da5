//! A temporary folder that only its user can enter, whatever the umask.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

/// Creates the folder; it is removed with the value. Files in it need no mode.
pub(crate) fn create() -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("openclaw-state-engine-").permissions(Permissions::from_mode(0o700)).tempdir()
}
