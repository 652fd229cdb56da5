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
        let (pid, place) = lock_of(line, "FLOCK")?;
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

/// The other processes that have the database open by SQLite, which locks it for as long, as far as the system
/// says: ` (process 12)`, or nothing.
pub(crate) fn others(database: &Path) -> String {
    let (Ok(file), Ok(locks)) = (fs::metadata(database), fs::read_to_string("/proc/locks")) else {
        return String::new();
    };
    let inode = format!(":{}", file.ino());
    let of_file = locks.lines().filter_map(|line| lock_of(line, "POSIX"));
    let mut pids: Vec<_> = of_file
        .filter(|(pid, place)| place.ends_with(&inode) && *pid != std::process::id())
        .map(|(pid, _)| pid.to_string())
        .collect();
    pids.sort_unstable();
    pids.dedup();
    match pids.as_slice() {
        [] => String::new(),
        [pid] => format!(" (process {pid})"),
        pids => format!(" (processes {})", pids.join(", ")),
    }
}

/// The process and the file (`MAJOR:MINOR:INODE`) of a held lock of this kind, from a line of `/proc/locks`
/// (`proc_locks(5)`).
fn lock_of<'a>(line: &'a str, kind: &str) -> Option<(u32, &'a str)> {
    let mut words = line.split_whitespace().skip(1);
    (words.next()? == kind).then_some(())?;
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
        assert_eq!(lock_of(line, "FLOCK"), Some((4_711, "fe:00:1835055")));
        for other in [
            "1: POSIX  ADVISORY  READ 4711 fe:00:1835055 128 128",
            "12: -> FLOCK  ADVISORY  WRITE 4712 fe:00:1835055 0 EOF",
            "13: OFDLCK ADVISORY  WRITE -1 fe:00:1835055 0 EOF",
            "",
        ] {
            assert_eq!(lock_of(other, "FLOCK"), None, "{other}");
        }
    }
}
