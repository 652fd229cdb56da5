//! Files of the engine that nobody else may read or write, whatever the umask and whatever was there before.
//!
//! A planted link would lead to a file that the engine then overwrites. A file of another user stays in that
//! user's hands. So both are refused, with the command that helps.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;

/// Mode bits that let someone other than the owner use a file.
const OTHERS: u32 = 0o077;

/// Creates a file that must not exist, with mode 0600.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Opens a file for reading and writing; creates it with mode 0600 if it is missing.
///
/// Refuses what [`check`] refuses. Takes a file that is there away from everybody else.
pub fn open(path: &Path) -> io::Result<File> {
    let file = open_unchanged(path)?;
    tighten(&file.metadata()?, path);
    Ok(file)
}

/// As [`open`], but leaves the mode of a file that is there.
pub(crate) fn open_unchanged(path: &Path) -> io::Result<File> {
    match create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        created => return created,
    }
    // Whatever was planted there: a link is not followed, and a FIFO does not block.
    check(path)?;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    check_metadata(&file.metadata()?, path)?;
    Ok(file)
}

/// Opens a file for reading, if it is one that [`open`] would open.
pub(crate) fn read(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("is not a regular file: remove it"));
    }
    Ok(file)
}

/// Refuses a link, a file with a second name, a file of another user, and anything but a regular file. What
/// does not exist is not refused.
pub fn check(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => check_metadata(&metadata, path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes a file that exists away from everybody except its owner, and says so.
pub fn tighten_at(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => {
            check_metadata(&metadata, path)?;
            tighten(&metadata, path);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn check_metadata(metadata: &fs::Metadata, path: &Path) -> io::Result<()> {
    let (shown, us) = (path.display(), geteuid().as_raw());
    if metadata.is_symlink() {
        return Err(io::Error::other(format!("is a link, which is not followed: rm {shown}")));
    }
    if !metadata.is_file() {
        return Err(io::Error::other("is not a regular file: remove it"));
    }
    if metadata.uid() != us {
        let owner = metadata.uid();
        let why = format!("belongs to user {owner}, not to user {us}: chown {us} {shown}");
        return Err(io::Error::other(why));
    }
    if metadata.nlink() > 1 {
        let why = format!(
            "has {} names (hard links): find the others with `find / -xdev -samefile {shown}`, and \
             keep one",
            metadata.nlink()
        );
        return Err(io::Error::other(why));
    }
    Ok(())
}

fn tighten(metadata: &fs::Metadata, path: &Path) {
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return;
    }
    let path_shown = path.display();
    match fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) {
        Ok(()) => tracing::warn!(
            path = %path_shown,
            mode = %format_args!("{mode:04o}"),
            "others could use this file of the engine: its mode is now 0600"
        ),
        // Some file systems have no modes.
        Err(error) => tracing::warn!(
            path = %path_shown, %error,
            "others can use this file of the engine, and its mode cannot be changed"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_was_planted_is_refused_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("victim"), "a").unwrap();
        symlink(path("victim"), path("link")).unwrap();
        symlink(path("nothing"), path("dangling")).unwrap();
        fs::create_dir(path("folder")).unwrap();
        fs::hard_link(path("victim"), path("second")).unwrap();
        for (name, remedy) in
            [("link", "rm "), ("dangling", "rm "), ("folder", "remove it"), ("second", "-samefile")]
        {
            let refused = open(&path(name)).unwrap_err().to_string();
            assert!(refused.contains(remedy), "{name}: {refused}");
        }
        assert!(!path("nothing").exists());
    }

    #[test]
    fn a_file_of_another_mode_becomes_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old");
        fs::write(&path, "kept").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        drop(open(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read(&path).unwrap(), b"kept");
    }
}
