//! Who owns a database, as other processes see it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use store_core::LockHolder;

use crate::files::{self, Identity, private};

/// The process that owns a database, and the name by which it has it open.
pub(crate) struct Owner {
    pub(crate) holder: LockHolder,
    pub(crate) database: PathBuf,
}

/// The owner of the database at `path`, by whatever name it has it open.
pub(crate) fn find(path: &Path) -> Option<Owner> {
    let database = files::real(path);
    by_lock_file(&database)
        .map(|holder| Owner { holder, database: database.clone() })
        .or_else(|| by_inode(&database))
}

fn by_lock_file(database: &Path) -> Option<LockHolder> {
    let file = private::read(&files::lock(database)).ok()?;
    match file.try_lock_shared() {
        Ok(()) => None,
        Err(_) => Some(read(&file)),
    }
}

/// The process that has locked the file itself. Reads what the kernel shows of it: opening and closing the
/// database here could drop the locks of SQLite in this process.
pub(crate) fn by_inode(database: &Path) -> Option<Owner> {
    let file = fs::metadata(database).ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let (pid, place) = flock_of(line)?;
        let (device, inode) = place.rsplit_once(':')?;
        if inode.parse() != Ok(file.ino()) {
            return None;
        }
        if let Some(name) = name_of(pid, Identity::of(&file)) {
            let written = private::read(&files::lock(&name)).map(|file| read(&file));
            let holder = written.ok().filter(|holder| holder.pid == pid);
            return Some(Owner { holder: holder.unwrap_or(unannounced(pid)), database: name });
        }
        (device == device_of(file.dev()))
            .then(|| Owner { holder: unannounced(pid), database: database.to_owned() })
    })
}

fn unannounced(pid: u32) -> LockHolder {
    LockHolder { pid, ..LockHolder::default() }
}

/// The process and the file (`MAJOR:MINOR:INODE`) of a held lock of flock(2), from a line of `/proc/locks`
/// (`proc_locks(5)`).
fn flock_of(line: &str) -> Option<(u32, &str)> {
    let mut words = line.split_whitespace().skip(1);
    (words.next()? == "FLOCK").then_some(())?;
    let mut words = words.skip(2);
    Some((words.next()?.parse().ok()?, words.next()?))
}

fn device_of(device: u64) -> String {
    format!("{:02x}:{:02x}", rustix::fs::major(device), rustix::fs::minor(device))
}

/// The name by which a process has a file open, if that leads to the file here too.
fn name_of(pid: u32, wanted: Identity) -> Option<PathBuf> {
    fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten().find_map(|entry| {
        let name = fs::read_link(entry.path()).ok()?;
        (Identity::at(&name).ok()? == wanted).then_some(name)
    })
}

/// What a lock file says.
pub(crate) fn read(mut file: &File) -> LockHolder {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) => serde_json::from_str(&text).unwrap_or_default(),
        Err(_) => LockHolder::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_flock_is_read_from_its_line() {
        let line = "12: FLOCK  ADVISORY  WRITE 4711 fe:00:1835055 0 EOF";
        assert_eq!(flock_of(line), Some((4_711, "fe:00:1835055")));
        for other in [
            "1: POSIX  ADVISORY  READ 4711 fe:00:1835055 128 128",
            "12: -> FLOCK  ADVISORY  WRITE 4712 fe:00:1835055 0 EOF",
            "13: OFDLCK ADVISORY  WRITE -1 fe:00:1835055 0 EOF",
            "",
        ] {
            assert_eq!(flock_of(other), None, "{other}");
        }
    }
}
