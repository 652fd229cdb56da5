//! The newest event that is known to be on disk, in a file beside the database. A start that finds less than
//! that in the database has lost its log, or opens an older copy.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use store_core::key::Digest;

use crate::audit::events::Head;
use crate::files::{self, Identity, private};

/// The number and hash of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) seq: i64,
    /// In hex.
    pub(crate) hash: String,
}

impl From<&Head> for Known {
    fn from(head: &Head) -> Self {
        Self { seq: head.seq, hash: Digest::from_bytes(head.hash).hex(32) }
    }
}

/// `<database>.head`: one line, `SEQ:HASH`, as `verify` prints heads.
///
/// Written after each commit, so it never names an event that is not on disk. After a power loss it may be
/// older than the database. It is shorter than a sector, which is written whole or not at all.
#[derive(Debug)]
pub(crate) struct HeadFile {
    path: PathBuf,
    file: File,
    known: Known,
    failed: bool,
}

impl HeadFile {
    /// What the file says; `None` if there is none. `Err` of `InvalidData` if it says nothing.
    pub(crate) fn read(database: &Path) -> io::Result<Option<Known>> {
        let path = files::head(database);
        let mut text = String::new();
        match private::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
            Ok(file) => file.take(1_024).read_to_string(&mut text)?,
        };
        let known = parse(&text);
        known.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Writes the file, durably.
    pub(crate) fn create(database: &Path, known: Known) -> io::Result<Self> {
        let path = files::head(database);
        let file = write_new(&path, &known)?;
        Ok(Self { path, file, known, failed: false })
    }

    /// Notes a newer event, without waiting for the disk: a killed process keeps what it wrote.
    pub(crate) fn note(&mut self, head: &Head) {
        let known = Known::from(head);
        if known == self.known {
            return;
        }
        self.known = known;
        let written = self.file.write_all_at(text(&self.known).as_bytes(), 0);
        if let Err(error) = &written
            && !self.failed
        {
            tracing::warn!(%error, "cannot note the newest event beside the database");
        }
        self.failed = written.is_err();
    }

    /// Puts what was noted on disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Writes the file again if it is not the one that was written.
    pub(crate) fn keep(&mut self) -> io::Result<()> {
        let own = Identity::of(&self.file.metadata()?);
        if Identity::at(&self.path).is_ok_and(|found| found == own) {
            return Ok(());
        }
        tracing::warn!(path = %self.path.display(), "the file was removed or replaced: writing it again");
        // With it, the next start knows that there was a database.
        files::create_folder(&self.path)?;
        self.file = write_new(&self.path, &self.known)?;
        Ok(())
    }
}

/// Writes beside it and renames, so that the file is always whole.
fn write_new(path: &Path, known: &Known) -> io::Result<File> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = private::create(&new)?;
    file.write_all_at(text(known).as_bytes(), 0)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    files::sync_folder(path)?;
    Ok(file)
}

/// Always of the same length, because it is written over itself.
fn text(known: &Known) -> String {
    format!("{:020}:{}\n", known.seq, known.hash)
}

fn parse(text: &str) -> Option<Known> {
    let (seq, hash) = text.strip_suffix('\n')?.split_once(':')?;
    (hash.len() == 64).then_some(())?;
    Some(Known { seq: seq.parse().ok()?, hash: hash.to_owned() })
}
